"""Where an embedded server listens, as its URL tells."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit


def socket_directory(database_url: str) -> Path:
    """The directory of Postgres' socket."""
    return Path(parse_qs(urlsplit(database_url).query)["host"][0])


def postgres_socket(database_url: str) -> Path:
    """The socket itself."""
    return socket_directory(database_url) / ".s.PGSQL.5432"


def database_of(database_url: str) -> str:
    """The name of the database."""
    return urlsplit(database_url).path.removeprefix("/")
