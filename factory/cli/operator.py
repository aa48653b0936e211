"""The operator's access: commands that go to the database itself, not through the gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from factory.config import Settings, environment, load_settings
from factory.embedded.home import Home, home_directory
from factory.errors import Unavailable
from factory.services import Services, connect


def operator_database_url() -> str:
    """$DATABASE_URL, or the database of the installation that runs here. Raises Unavailable without any."""
    return _database_url(environment())


@contextmanager
def operator_services() -> Iterator[Services]:
    """Services with the environment's settings; what it leaves open comes from the installation here."""
    services = connect(_settings(), "cli")
    try:
        yield services
    finally:
        services.close()


def _settings() -> Settings:
    given = environment()
    home = _home()
    state, secret = home.running_state(), home.directory / "secret_key"
    found = {"DATABASE_URL": _database_url(given)}
    if state:
        found["REDIS_URL"] = state.redis_url
        found["ALLOW_WEAK_SETTINGS"] = str("DATABASE_URL" not in given)
    if secret.exists():
        found["SECRET_KEY"] = secret.read_text()
    return load_settings({**found, **given})


def _database_url(given: Mapping[str, str]) -> str:
    if "DATABASE_URL" in given:
        return given["DATABASE_URL"]
    state = _home().running_state()
    if state is None:
        raise Unavailable("no database: start `factory up`, or set DATABASE_URL")
    return state.database_url


def _home() -> Home:
    return Home(home_directory(os.environ))
