"""Runs migrations on DATABASE_URL, or on this directory's embedded server where that is unset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from factory.embedded.home import Home, home_directory
from factory.embedded.postgres import EmbeddedPostgres
from factory.store.tables import metadata

ADVISORY_LOCK = 7_246_172
"""Two deploys that migrate at once take turns."""


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


def _include(obj: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    # Partitions are made by migrations and by the dispatcher; the model knows their parent only.
    return not (
        reflected and name is not None and name.startswith(("embeddings_", "ix_embeddings_"))
    )


def _migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_include,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Upgrade, downgrade or check, as alembic was asked."""
    with _url() as url:
        engine = create_engine(
            "postgresql+psycopg2://" + url.partition("://")[2], poolclass=pool.NullPool
        )
        with engine.connect() as connection:
            _migrate(connection)


run()
