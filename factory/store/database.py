"""The connection pool and transactions. A `Tx` is one open transaction; statements take it first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2.extensions import PYDATETIMETZ, new_type, register_type
from sqlalchemy import Connection, Engine, Row, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from factory.document import read_json, write_exact_json
from factory.domain.instant import EARLIEST, LATEST
from factory.domain.principal import Principal
from factory.errors import TooSlow, Unavailable
from factory.store.answers import AnswerWatch, Limit
from factory.store.naming import Naming, naming

Tx = Connection
DIALECT = "postgresql+psycopg2://"
STATEMENT_TIMEOUT_S = 30
ANSWER_S = 15.0
"""Longest transaction, unless it asks for more time. Also the time after which a lease is over without Postgres."""
IDLE_S = 10
"""Longest pause within a transaction. Shorter than `ANSWER_S`: when a connection breaks in the middle, its rows are
unlocked by the time its client notices and tries again.
"""
CONNECT_TIMEOUT_S = 5
OVERLOADED = ("57014", "55P03", "53200")
"""SQLSTATEs of statements that took too long, waited too long for a lock, or needed too much memory."""
POOL_WAIT_S = 5
TRANSIENT = ("08", "25006", "25P03", "26000", "40", "42P05", "53", "55P03", "57", "58")
"""SQLSTATEs of transient errors: connections, a read-only standby, idle transactions cut off, prepared statements of
another connection, deadlocks, full disks, locks, shutdowns and timeouts, I/O. https://www.postgresql.org/docs/current/errcodes-appendix.html
"""


def connector(
    libpq_url: str, options: Mapping[str, Any] | None = None
) -> Callable[[], psycopg2.extensions.connection]:
    """What an engine calls to connect. libpq reads the URL: SQLAlchemy cannot parse several hosts."""

    def connect() -> psycopg2.extensions.connection:
        connection: psycopg2.extensions.connection = psycopg2.connect(libpq_url, **(options or {}))
        register_type(TIMES, connection)
        return connection

    return connect


def _time(text: Any, cursor: Any) -> datetime | None:
    """Postgres knows times that Python does not; they are read as the earliest or latest one."""
    try:
        found: datetime | None = PYDATETIMETZ(text, cursor)
    except (ValueError, OverflowError, psycopg2.DataError):
        before = "BC" in str(text)
        return EARLIEST if before else LATEST
    return found


def _json(text: str) -> Any:
    """Postgres stores numbers and depths that Python cannot read; such a document stays text."""
    try:
        return read_json(text)
    except ValueError:
        return text


TIMESTAMPTZ_OID = 1184
TIMES = new_type((TIMESTAMPTZ_OID,), "TIMES", _time)


class Database:
    """A pool of connections to one Postgres."""

    def __init__(
        self,
        libpq_url: str,
        *,
        pool_size: int,
        process: str,
        statement_s: float = STATEMENT_TIMEOUT_S,
    ) -> None:
        self._answers = AnswerWatch()
        self.engine: Engine = create_engine(
            DIALECT,
            creator=connector(libpq_url, _connection_options(process, statement_s)),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=False,
            pool_use_lifo=True,  # the connection that was used last has its plans prepared
            json_deserializer=_json,
            hide_parameters=True,  # they are customers' texts, and errors are logged
        )
        self._pool_size = pool_size

    @property
    def pool_size(self) -> int:
        """The most connections that there may be."""
        return self._pool_size

    @property
    def pool_used(self) -> int:
        """Connections in use now."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def transaction(
        self, who: Principal | None = None, answer_s: float = ANSWER_S
    ) -> AbstractContextManager[Tx]:
        """Commits at the end, rolls back on an error. Its first statement names the projects of `who` to Postgres.

        Raises Unavailable when Postgres does not answer, and when all of it takes longer than `answer_s`.
        """
        return self._open(who, answer_s, autocommit=False)

    def autocommit(
        self, who: Principal | None = None, answer_s: float = ANSWER_S
    ) -> AbstractContextManager[Tx]:
        """Each statement commits by itself: one round trip to Postgres instead of three.

        For reads, and for a single statement that writes. Names and raises as `transaction` does.
        """
        return self._open(who, answer_s, autocommit=True)

    @contextmanager
    def _open(self, who: Principal | None, answer_s: float, *, autocommit: bool) -> Iterator[Tx]:
        limit: Limit | None = None
        try:
            with self.engine.connect() as tx:
                driver: Any = tx.connection.dbapi_connection
                # Not by SQLAlchemy's isolation level: that costs more CPU than the two round trips that are saved.
                driver.autocommit = autocommit
                with self._answers.limit(driver.fileno(), answer_s) as limit, tx.begin():
                    about = tx.info
                    about["limit"] = limit
                    about["naming"] = naming(who.projects, each=autocommit) if who else None
                    try:
                        yield tx
                    finally:
                        about["naming"] = None
        except PoolTimeout as error:
            raise Unavailable(f"no connection is free: {first_line(error)}") from error
        except DBAPIError as error:
            if _is_transient(error):
                raise _unavailable(error, overdue=limit is not None and limit.passed) from error
            raise

    def close(self) -> None:
        """Closes every idle connection."""
        self.engine.dispose()
        self._answers.stop()


def limit_waits(tx: Tx, *, statement_s: float, lock_s: float) -> None:
    """Limits how long each statement of the transaction may take, and wait for a lock."""
    run(
        tx,
        f"SET LOCAL statement_timeout = {round(statement_s * 1000)};"
        f"SET LOCAL lock_timeout = {round(lock_s * 1000)}",
    )


def limit_of(tx: Tx) -> Limit:
    """The time limit of the transaction; another thread may end it sooner."""
    limit: Limit = tx.info["limit"]
    return limit


def _connection_options(process: str, statement_s: float) -> Mapping[str, Any]:
    return {
        "application_name": f"factory-{process}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        # A half-open connection is noticed in about 20 s instead of two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "options": f"-c statement_timeout={round(statement_s * 1000)}ms -c timezone=UTC"
        f" -c idle_in_transaction_session_timeout={IDLE_S}s"
        # For prepared statements; the others are planned with their values.
        " -c plan_cache_mode=force_generic_plan"
        # A statement whose client has gone must end and give up its locks.
        " -c client_connection_check_interval=1s",
    }


def _is_transient(error: DBAPIError) -> bool:
    """Whether the same statement may succeed later. The driver's classes do not say: for psycopg2, an index row that is
    too long is an OperationalError as well.
    """
    code: str | None = getattr(error.orig, "pgcode", None)
    if error.connection_invalidated:
        return True
    if code is None:
        return isinstance(error, OperationalError | InterfaceError)
    return code.startswith(TRANSIENT)


def _unavailable(error: DBAPIError, *, overdue: bool) -> Unavailable:
    measured = getattr(error.orig, "pgcode", None) in OVERLOADED
    if measured or overdue:
        return TooSlow(f"the database takes too long: {first_line(error)}", measured=measured)
    return Unavailable(f"the database does not answer: {first_line(error)}")


def first_line(error: Exception) -> str:
    """What a driver's error says, without its parameters and links."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


def rows(tx: Tx, statement: str, params: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
    """All rows of a statement with `%(name)s` parameters.

    Goes straight to the driver: SQLAlchemy's compiler would cost more than the statement itself.
    """
    return tx.exec_driver_sql(_named(tx, statement), dict(params or {})).fetchall()


def run(tx: Tx, statement: str, params: Mapping[str, Any] | None = None) -> int:
    """Runs a statement that returns nothing; gives the number of rows it touched."""
    return tx.exec_driver_sql(_named(tx, statement), dict(params or {})).rowcount


def _named(tx: Tx, statement: str) -> str:
    """The statement; if projects are still to be named, that goes first, in the same message."""
    found: Naming | None = tx.info.get("naming")
    return found.before(statement) if found else statement


def as_json(value: Any) -> str:
    """A value as JSON text for a `jsonb` parameter."""
    return write_exact_json(value).decode()


def ids(values: Iterable[UUID]) -> list[str]:
    """UUIDs for a `uuid[]` parameter."""
    return [str(value) for value in values]


def array(values: Iterable[UUID | str]) -> str:
    """Values as the text of an array, for a prepared statement. Only for values that need no quotes."""
    return f"{{{','.join(map(str, values))}}}"
