"""Checks of single values. They raise ValueError with a reason that completes a sentence after the variable's name."""

from __future__ import annotations

from urllib.parse import urlsplit

from factory.config.addresses import database_url_fault, proxy_url_fault, redis_url_fault
from factory.config.faults import unsendable
from factory.config.lists import read_models, read_receivers
from factory.config.tls import ca_file_fault, tls_options_fault

LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def check_key(key: str) -> str:
    """A key that an HTTP header can carry."""
    return _checked(key, unsendable(key))


def check_http_url(url: str) -> str:
    """A base URL, to which paths are appended."""
    return _checked(url, _http_url_fault(url))


def check_ca_file(path: str) -> str:
    """A file with certificates."""
    return _checked(path, ca_file_fault(path))


def check_proxy_url(url: str) -> str:
    """An HTTP proxy, with its credentials."""
    return _checked(url, proxy_url_fault(url))


def check_database_url(url: str) -> str:
    """A URL that libpq reads as it is meant."""
    return _checked(url, database_url_fault(url))


def check_redis_url(url: str) -> str:
    """A URL that redis-py and kombu read as it is meant."""
    return _checked(url, redis_url_fault(url) or tls_options_fault(url))


def check_receivers(text: str) -> str:
    """Names and networks of receivers."""
    read_receivers(text)
    return text


def check_models(text: str) -> str:
    """Models, each with its provider."""
    read_models(text)
    return text


def level_name(value: object) -> object:
    """`info` is INFO, and `warn` the WARNING that Python's logging takes it for."""
    return LEVELS.get(value.upper(), value.upper()) if isinstance(value, str) else value


def in_small_letters(value: object) -> object:
    """`JSON` is json."""
    return value.lower() if isinstance(value, str) else value


def _http_url_fault(url: str) -> str | None:
    if not url.startswith(("http://", "https://")):
        return "must start with http:// or https://"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "holds white space or a character that no URL may hold"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL: write http://host:port/path"
    if not host or port == 0:
        return "names no host, or port 0: write http://host:port/path"
    if parts.query or parts.fragment:
        return "must end before ? and #: paths are appended to it"
    return None


def _checked(value: str, reason: str | None) -> str:
    if reason:
        raise ValueError(reason)
    return value
