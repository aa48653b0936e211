"""Postgres servers as a whole: their addresses, and their databases made, replaced and repaired."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    POLL_WRITE,
    get_wait_callback,
    parse_dsn,
    set_wait_callback,
)

from factory.errors import Unavailable

MAINTENANCE = "template1"
"""A database that every server has, to connect to while another one is replaced."""
SWAP_S = 30.0
NAME_BYTES = 63
"""Of a name, Postgres takes so much, and leaves the rest out without an error."""
Cursor = psycopg2.extensions.cursor


def connection_parts(libpq_url: str) -> dict[str, str]:
    """The URL's parts by libpq's names. Raises nothing for a URL that `libpq_url` made."""
    return {name: str(value) for name, value in parse_dsn(libpq_url).items()}


def url_of(**parts: str) -> str:
    """A URL of libpq's own names, as `parse_dsn` takes one apart."""
    return f"postgresql:///?{urlencode(parts, quote_via=quote)}"


def with_database(libpq_url: str, name: str) -> str:
    """The same server, another database."""
    return url_of(**{**connection_parts(libpq_url), "dbname": name})


@contextmanager
def connected(dsn: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection of its own, whose statements a signal may end. Raises Unavailable for whatever Postgres says in
    the block. For commands: it changes how all of the process waits for Postgres.
    """
    earlier = get_wait_callback()
    set_wait_callback(_wait)
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=5)) as connection:
            yield connection
    except psycopg2.Error as error:
        raise Unavailable(f"the database: {str(error).strip().splitlines()[0]}") from error
    finally:
        set_wait_callback(earlier)


def _wait(connection: psycopg2.extensions.connection) -> None:
    """Until Postgres has answered. libpq would keep signals waiting that long, which may be hours."""
    while (state := connection.poll()) != POLL_OK:
        reads = [connection.fileno()] if state == POLL_READ else []
        writes = [connection.fileno()] if state == POLL_WRITE else []
        select.select(reads, writes, [])


def ask(libpq_url: str, statement: str, *params: object) -> Any:
    """The first value of the first row; None without one. Raises Unavailable."""
    with connected(libpq_url) as connection, connection.cursor() as cursor:
        cursor.execute(statement, params)
        found = cursor.fetchall()
    return found[0][0] if found else None


def server_version(libpq_url: str) -> int:
    """Such as 180006. Raises Unavailable."""
    with connected(libpq_url) as connection:
        return connection.server_version


def replayed_to(libpq_url: str) -> datetime | None:
    """The time of the last commit that a recovered server has replayed; None if there was none."""
    found = ask(libpq_url, "SELECT pg_last_xact_replay_timestamp()")
    return found if isinstance(found, datetime) else None


SUPERUSER = "SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1"


def make_valid(libpq_url: str) -> None:
    """Makes databases valid again whose recovery ended in the middle of a DROP DATABASE: they are whole.

    Only a superuser may do this, so the server must trust its connections.
    """
    place = with_database(libpq_url, MAINTENANCE)
    superuser = str(ask(place, SUPERUSER))
    parts = {**connection_parts(place), "user": superuser}
    tell(url_of(**parts), "UPDATE pg_database SET datconnlimit = -1 WHERE datconnlimit = -2")


def tell(libpq_url: str, statement: str) -> None:
    """Runs statements outside of a transaction. Raises Unavailable."""
    with connected(libpq_url) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def analyze(libpq_url: str) -> None:
    """Makes statistics, which are not part of a backup and without which Postgres plans badly."""
    tell(libpq_url, "ANALYZE")


def name_beside(name: str, suffix: str) -> str:
    """The name with a suffix, as long as Postgres takes names: one that is longer would be the name itself."""
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def create_database(libpq_url: str, name: str) -> None:
    """An empty one. Raises Unavailable."""
    with _maintenance(libpq_url) as cursor:
        cursor.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )


def drop_database(libpq_url: str, name: str) -> None:
    """Does nothing if it is not there."""
    with _maintenance(libpq_url) as cursor:
        cursor.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def replace_database(libpq_url: str, name: str, new: str) -> str | None:
    """Gives `new` the name, in one transaction. A database that had it is kept under another name, which is returned.

    Nobody can connect to the old one from then on. Raises Unavailable if its sessions do not end.
    """
    kept = name_beside(name, f"_before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    with _maintenance(libpq_url) as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        exists = bool(cursor.fetchall())
        if exists:
            _close(cursor, name)
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        steps = [(name, kept), (new, name)] if exists else [(new, name)]
        cursor.execute(sql.SQL(";").join(rename.format(*map(sql.Identifier, one)) for one in steps))
    return kept if exists else None


def _close(cursor: Cursor, name: str) -> None:
    """Ends all sessions of a database, and lets nobody in."""
    close = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    cursor.execute(close.format(sql.Identifier(name)))
    deadline = time.monotonic() + SWAP_S
    while True:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        if not cursor.fetchall():
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"sessions of the database {name} do not end: stop the programs first"
            )
        time.sleep(0.1)


@contextmanager
def _maintenance(libpq_url: str) -> Iterator[Cursor]:
    with connected(with_database(libpq_url, MAINTENANCE)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
