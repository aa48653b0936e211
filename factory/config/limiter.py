"""The limiter's Redis: the database it has by default, and whether a URL names the broker's own."""

from __future__ import annotations

from collections.abc import Hashable
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from factory.config.addresses import redis_url_fault

DATABASES = 16
"""What a server has unless its configuration says otherwise."""
PORTS = {"sentinel": 26379}
REDIS_PORT = 6379


def beside(redis_url: str) -> str:
    """The next database of the same server; after the last one, the first."""
    number = str(_after(database_of(redis_url)))
    address, _, query = redis_url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if address.startswith("unix://") or "db" in options:
        options["db"] = number
    else:
        before, separator, last = address.rpartition("://")
        address = f"{before}{separator}{last.partition('/')[0]}/{number}"
    return f"{address}?{urlencode(options)}" if options else address


def is_same_database(one_url: str, other_url: str) -> bool:
    """Whether both URLs name the same place. What cannot be read as a URL is told elsewhere."""
    if redis_url_fault(one_url) or redis_url_fault(other_url):
        return False
    return _place(one_url) == _place(other_url)


def database_of(redis_url: str) -> int:
    """The number of the database that the URL names, 0 if it names none."""
    address, _, query = redis_url.partition("?")
    given = dict(parse_qsl(query)).get("db")
    if given is None and not address.startswith("unix://"):
        given = address.rpartition("://")[2].partition("/")[2]
    return int(given) if given and given.isdigit() else 0


def _after(number: int) -> int:
    return 0 if number == DATABASES - 1 else number + 1


def _place(redis_url: str) -> Hashable:
    address, _, query = redis_url.partition("?")
    servers = frozenset(map(_server, address.split(";")))
    return servers, dict(parse_qsl(query)).get("master_name"), database_of(redis_url)


def _server(url: str) -> Hashable:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return unquote(parts.path)
    return parts.hostname, parts.port or PORTS.get(parts.scheme, REDIS_PORT)
