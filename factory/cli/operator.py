"""The operator's access: commands that go to the database itself, not through the gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from factory.config import Settings, load_settings
from factory.embedded.home import Home, home_directory
from factory.errors import Unavailable
from factory.services import Services, connect


def operator_database_url() -> str:
    """$DATABASE_URL, or the database of the installation that runs here. Raises Unavailable without any."""
    given = os.environ.get("DATABASE_URL")
    state = None if given else _home().running_state()
    if not given and state is None:
        raise Unavailable("no database: start `factory up`, or set DATABASE_URL")
    return given or (state.database_url if state else "")


@contextmanager
def operator_services() -> Iterator[Services]:
    """Services with the environment's settings; what it leaves open comes from the installation here."""
    services = connect(_settings(), "cli")
    try:
        yield services
    finally:
        services.close()


def _settings() -> Settings:
    home = _home()
    state, secret = home.running_state(), home.directory / "secret_key"
    found = {"DATABASE_URL": operator_database_url()}
    if state:
        found["REDIS_URL"] = state.redis_url
    if secret.exists():
        found["SECRET_KEY"] = secret.read_text()
    return load_settings({name: value for name, value in found.items() if not os.environ.get(name)})


def _home() -> Home:
    return Home(home_directory(os.environ))
