"""Real servers, one of each for the whole run: embedded, or the ones that the environment names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.services import Services, connect
from factory.store.migrate import upgrade


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # Tests that are about durability start a server of their own; for the rest a crash loses nothing.
    settings = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def template_url(postgres_url: str) -> str:
    """A migrated database that nobody writes to: each test gets a copy of it."""
    url = _create(postgres_url, f"template_{uuid.uuid4().hex[:12]}", "template0")
    upgrade(url)
    return url


@pytest.fixture
def database_url(postgres_url: str, template_url: str) -> Iterator[str]:
    """A database of the test's own, migrated and empty."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield _create(postgres_url, name, _name_of(template_url))
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def services(database_url: str, redis_url: str) -> Iterator[Services]:
    """Services over the test's own database; settings are those of development."""
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key="test-secret-key-of-32-characters!",
        webhook_allow_loopback=True,
        database_pool_size=5,
    )
    connected = connect(settings, "test")
    yield connected
    connected.close()


def _create(postgres_url: str, name: str, template: str) -> str:
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    parts = urlsplit(postgres_url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
