"""Runs migrations on DATABASE_URL, as every program finds it, or else on this directory's embedded server."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from factory.config import environment, libpq_url
from factory.config.load import USAGE
from factory.embedded.home import Home, home_directory
from factory.embedded.postgres import EmbeddedPostgres
from factory.errors import Misconfigured
from factory.store.all_tables import metadata
from factory.store.database import DIALECT, connector
from factory.store.server import is_pooled

ADVISORY_LOCK = 7_246_172
"""Two deploys that migrate at once take turns."""
TURN_S = 0.1

log = logging.getLogger(__name__)


@contextmanager
def _url() -> Iterator[str]:
    """The database to migrate: the one named, the one that `factory up` runs here, or its data at rest."""
    given = context.config.attributes.get("url") or _named_url()
    home = Home(home_directory(os.environ))
    running = None if given else home.running_state()
    if given:
        yield given
    elif running:
        log.warning("DATABASE_URL is not set: this migrates what `factory up` runs here")
        yield running.database_url
    elif not home.postgres_directory.exists():
        # A deployment without its DATABASE_URL must not end well, with a new and empty server migrated.
        _refuse(f"DATABASE_URL is not set, and there is no installation in {home.directory}")
    else:
        log.warning("DATABASE_URL is not set: this migrates the server in %s", home.directory)
        home.claim()
        server = EmbeddedPostgres(home.postgres_directory)
        try:
            yield server.start()
        finally:
            server.stop()
            home.release()


def _named_url() -> str | None:
    """DATABASE_URL of the environment, of the env file, or of its parts. Ends the program if it is wrong."""
    try:
        return environment().get("DATABASE_URL")
    except Misconfigured as error:
        _refuse(error.message)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"alembic: {message}\n")
    sys.exit(USAGE)


def _wait_for_turn(connection: Connection) -> None:
    """Asks again and again: who waits inside a statement holds up what is built CONCURRENTLY."""
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
        connection.commit()
        time.sleep(TURN_S)
    connection.commit()


def _partitions(connection: Connection) -> frozenset[str]:
    """Made by migrations and by the dispatcher; the model knows their parents only."""
    found = connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition"))
    return frozenset(str(name) for name in found)


def _migrate(connection: Connection) -> None:
    _wait_for_turn(connection)
    partitions = _partitions(connection)
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=lambda name, kind, parents: kind != "table" or name not in partitions,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Upgrade, downgrade or check, as alembic was asked."""
    with _url() as url:
        engine = create_engine(DIALECT, creator=connector(libpq_url(url)), poolclass=pool.NullPool)
        with engine.connect() as connection:
            if is_pooled(connection):
                _refuse(
                    "DATABASE_URL leads through a pooler: migrations need the address of Postgres itself"
                )
            connection.commit()
            _migrate(connection)


run()
