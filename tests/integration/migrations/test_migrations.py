"""The schema's way up and down, and that the migrations and the tables say the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from alembic import command
from alembic.config import Config

import migrations
from factory.store.migrate import revisions, upgrade


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """A database without any table."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_up_down_and_up_again(empty_url: str) -> None:
    upgrade(empty_url)
    first = _schema(empty_url)
    command.downgrade(config(empty_url), "base")
    assert _schema(empty_url) == [("alembic_version", "r")]
    assert revisions(empty_url)[0] is None
    upgrade(empty_url)
    assert _schema(empty_url) == first


def test_an_upgrade_of_what_is_new_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)
    current, head = revisions(empty_url)
    assert current == head is not None


def test_the_tables_are_those_that_the_code_describes(empty_url: str) -> None:
    upgrade(empty_url)
    command.check(config(empty_url))


def test_the_checks_are_those_that_the_code_describes(empty_url: str) -> None:
    """Alembic does not compare check constraints, and those guard the states of jobs."""
    upgrade(empty_url)
    described = [
        ("ck_jobs_attempts", "attempt >= 0"),
        ("ck_jobs_attempts", "attempt <= max_attempts"),
        ("ck_jobs_lease", "state = 'running'::text) = (lease_token IS NOT NULL"),
        ("ck_jobs_state", "'waiting'"),
        ("ck_llm_calls_status", "'open'"),
    ]
    checks = dict(
        _read(
            empty_url,
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'",
        )
    )
    for name, text in described:
        assert text in checks[name]


def config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def _schema(url: str) -> list[tuple[str, str]]:
    """Names and kinds of the tables, indexes and sequences of ours."""
    found = _read(
        url,
        "SELECT c.relname::text, c.relkind::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relname <> 'alembic_version_pkc' ORDER BY 1",
    )
    return [(str(name), str(kind)) for name, kind in found]


def _read(url: str, statement: str) -> list[tuple[str, str]]:
    connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall()
    finally:
        connection.close()


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
