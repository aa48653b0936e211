"""Runs migrations on DATABASE_URL, or on this directory's embedded server where that is unset."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from factory.config import libpq_url
from factory.embedded.home import Home, home_directory
from factory.embedded.postgres import EmbeddedPostgres
from factory.store.archive_tables import jobs_archive
from factory.store.database import DIALECT, connector

ADVISORY_LOCK = 7_246_172
"""Two deploys that migrate at once take turns."""
TURN_S = 0.1


@contextmanager
def _url() -> Iterator[str]:
    """The database to migrate: the one named, the one that `factory up` runs here, or its data at rest."""
    given = context.config.attributes.get("url") or os.environ.get("DATABASE_URL")
    home = Home(home_directory(os.environ))
    running = None if given else home.running_state()
    if given:
        yield given
    elif running:
        yield running.database_url
    else:
        home.claim()
        server = EmbeddedPostgres(home.postgres_directory)
        try:
            yield server.start()
        finally:
            server.stop()
            home.release()


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
        target_metadata=jobs_archive.metadata,
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
            _migrate(connection)


run()
