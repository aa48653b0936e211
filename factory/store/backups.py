"""What a backup needs of Postgres: a snapshot to dump from, checksums to compare, and a record of the backup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql

from factory.errors import Misconfigured
from factory.store.database import Tx, rows, run
from factory.store.servers import Cursor, connected

# A backup may take hours, during which its session is idle.
WITHOUT_TIMEOUTS = (
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
    # Sums are of rows as text: the role or the server may have styles of their own.
    " SET timezone = 'UTC'; SET extra_float_digits = 1; SET datestyle = 'ISO';"
    " SET intervalstyle = 'postgres'; SET bytea_output = 'hex'"
)


@dataclass(frozen=True, slots=True)
class Sum:
    """A table's rows: how many, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a database; valid within the `snapshot` block."""

    id: str
    at: datetime
    database: str
    user: str
    server_version: int
    """Such as 180006."""
    revision: str | None
    sums: Mapping[str, Sum]


@contextmanager
def snapshot(libpq_url: str) -> Iterator[Snapshot]:
    """Opens a snapshot that other sessions can share, and reads every table once. Raises Unavailable."""
    with connected(libpq_url) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            _demand_own_session(cursor)
            cursor.execute(WITHOUT_TIMEOUTS)
            yield _snapshot(cursor)


def _demand_own_session(cursor: Cursor) -> None:
    """pg_dump sets the search path of its session; a pooler would hand that to the platform's programs.

    https://github.com/pgbouncer/pgbouncer/issues/452
    """
    cursor.execute("SELECT pg_backend_pid()")
    [(pid,)] = cursor.fetchall()
    if pid != cursor.connection.info.backend_pid:
        reason = "leads through a pooler: backups need the address of Postgres itself"
        raise Misconfigured(f"DATABASE_URL {reason}", param="DATABASE_URL")


def _snapshot(cursor: Cursor) -> Snapshot:
    cursor.execute(
        "SELECT pg_export_snapshot(), now(), current_database()::text, current_user::text,"
        " current_setting('server_version_num')::int"
    )
    [(snapshot_id, at, database, user, version)] = cursor.fetchall()
    return Snapshot(snapshot_id, at, database, user, version, _revision(cursor), _sums(cursor))


def sums(libpq_url: str) -> Mapping[str, Sum]:
    """The sum of every table as it is now. Raises Unavailable."""
    with connected(libpq_url) as connection, connection.cursor() as cursor:
        cursor.execute(WITHOUT_TIMEOUTS)
        return _sums(cursor)


TABLES = """
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1
"""
SUM = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} t"


def _sums(cursor: Cursor) -> dict[str, Sum]:
    cursor.execute(TABLES)
    names = [str(name) for (name,) in cursor.fetchall()]
    found = {}
    for name in names:
        cursor.execute(sql.SQL(SUM).format(sql.Identifier("public", name)))
        [(count, checksum)] = cursor.fetchall()
        found[name] = Sum(count, checksum)
    return found


def _revision(cursor: Cursor) -> str | None:
    cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    if cursor.fetchall() == [(False,)]:
        return None
    cursor.execute("SELECT version_num FROM alembic_version")
    found = cursor.fetchall()
    return str(found[0][0]) if found else None


@dataclass(frozen=True, slots=True)
class Place:
    """A server's position in its write-ahead log, from which a base backup begins."""

    database: str
    user: str
    server_version: int
    segment: str
    """The log's file that is written now: a backup that begins later needs none before it."""


def place(libpq_url: str) -> Place:
    """Raises Unavailable."""
    with connected(libpq_url) as connection, connection.cursor() as cursor:
        _demand_own_session(cursor)
        cursor.execute(
            "SELECT current_database()::text, current_user::text,"
            " current_setting('server_version_num')::int, pg_walfile_name(pg_current_wal_lsn())"
        )
        return Place(*cursor.fetchall()[0])


RECORD = """
INSERT INTO backups (kind, name, size_bytes, finished_at)
VALUES (%(kind)s, %(name)s, %(size_bytes)s, %(finished_at)s)
ON CONFLICT (kind) DO UPDATE
   SET name = excluded.name, size_bytes = excluded.size_bytes, finished_at = excluded.finished_at,
       verified_at = NULL
"""


def record(tx: Tx, kind: str, name: str, size_bytes: int, finished_at: datetime) -> None:
    """Records the newest backup of its kind."""
    params = {"kind": kind, "name": name, "size_bytes": size_bytes, "finished_at": finished_at}
    run(tx, RECORD, params)


def record_verified(tx: Tx, kind: str, name: str) -> None:
    """The newest backup of its kind has been restored and compared; does nothing for an older one."""
    run(
        tx,
        "UPDATE backups SET verified_at = now() WHERE kind = %(kind)s AND name = %(name)s",
        {"kind": kind, "name": name},
    )


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest backup of a kind."""

    kind: str
    finished_at: datetime
    verified_at: datetime | None


def newest(tx: Tx) -> list[Newest]:
    """The newest backup of each kind that there is."""
    found = rows(tx, "SELECT kind, finished_at, verified_at FROM backups ORDER BY kind")
    return [Newest(**row._asdict()) for row in found]
