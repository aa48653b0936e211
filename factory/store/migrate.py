"""Runs the migrations from code, as `factory up`, `factory db migrate` and the tests do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import OperationalError

from factory.config import libpq_url
from factory.errors import Misconfigured, Unavailable
from factory.store.database import DIALECT, connector, first_line


def _config(database_url: str) -> Config:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise Misconfigured("the package `migrations` is not installed: pip install .")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Brings the schema to the newest revision; two callers at once take turns.

    Raises Unavailable if the database does not let in.
    """
    with _answering():
        command.upgrade(_config(database_url), "head")


def revisions(database_url: str) -> tuple[str | None, str | None]:
    """The database's revision and the newest one; equal when nothing is to be done.

    Raises Unavailable if the database does not answer.
    """
    head = ScriptDirectory.from_config(_config(database_url)).get_current_head()
    connect = connector(libpq_url(database_url))
    engine = create_engine(DIALECT, creator=connect, poolclass=pool.NullPool)
    with _answering(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), head


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        # One from within a migration keeps its statement: somebody has to find it.
        if error.statement:
            raise
        raise Unavailable(f"the database does not answer: {first_line(error)}") from None
