"""A database that the tests of one module share, for what is dear to fill."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from factory.config import Settings
from factory.services import Services, connect


@pytest.fixture(scope="module")
def module_services(postgres_url: str, template_url: str, redis_url: str) -> Iterator[Services]:
    """Services over one migrated database for all tests of a module that only read it."""
    name = f"module_{uuid.uuid4().hex[:12]}"
    template = urlsplit(template_url).path.removeprefix("/")
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    settings = Settings(database_url=url, redis_url=redis_url, secret_key="x" * 32)
    connected = connect(settings, "test")
    yield connected
    connected.close()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
