"""The URLs of Postgres and Redis: whether one can be right, and how one is built from its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from factory.config.tls import ca_file_fault
from factory.errors import Misconfigured

DATABASE_PARTS = {
    "DATABASE_HOST": "Name or address; several with commas, as libpq takes them; or a socket's directory.",
    "DATABASE_PORT": "5432 by default.",
    "DATABASE_NAME": "The database. Needed with DATABASE_HOST.",
    "DATABASE_USER": "The role. Needed with DATABASE_HOST.",
    "DATABASE_PASSWORD": "As it is: nothing is to be encoded.",
    "DATABASE_SSLMODE": "libpq's: `require`, `verify-ca`, `verify-full` …",
    "DATABASE_SSLROOTCERT": "File of the certificate authority, for `verify-…`.",
}
REDIS_PARTS = {
    "REDIS_HOST": "Name or address, or the path of a socket.",
    "REDIS_PORT": "6379 by default.",
    "REDIS_USER": "Empty for the default user.",
    "REDIS_PASSWORD": "As it is: nothing is to be encoded.",
    "REDIS_DB": "Number of the database, 0 by default.",
}
LIMITER_REDIS_PARTS = {f"LIMITER_{name}": what for name, what in REDIS_PARTS.items()}
DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")
ENCODE = "a password with / # ? @ % must be percent-encoded in a URL"
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r"(?<!:):([^:\]/@]*)$")


def libpq_url(database_url: str) -> str:
    """The URL without the name of a driver. It may name several hosts, of which libpq finds the primary:
    `postgresql://user@a:5432,b:5432/name?target_session_attrs=read-write`. Raises Misconfigured.
    """
    scheme, _, rest = database_url.partition("://")
    if scheme not in DATABASE_SCHEMES:
        raise Misconfigured("DATABASE_URL must start with postgresql://", param="DATABASE_URL")
    return f"postgresql://{rest}"


def database_url_fault(url: str) -> str | None:
    """Why libpq could not read this URL, or would misread it; None if it is fine."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        return "must start with postgresql://"
    return _form_fault(rest, f"{ENCODE}, or given as DATABASE_PASSWORD")


def redis_url_fault(url: str) -> str | None:
    """The same for redis-py and kombu."""
    for one in url.partition("?")[0].split(";") if url.startswith("sentinel://") else [url]:
        scheme, separator, rest = one.partition("://")
        if not separator or scheme not in REDIS_SCHEMES:
            return "must start with redis://, rediss://, unix:// or sentinel://"
        reason = _form_fault(rest, f"{ENCODE}, or given as REDIS_PASSWORD")
        if reason:
            return reason
        database = rest.partition("?")[0].rpartition("@")[2].partition("/")[2]
        if scheme != "unix" and database and not database.isdigit():
            return "must end with the number of a database, such as /0"
    return None


def proxy_url_fault(url: str) -> str | None:
    """Why this is not the URL of an HTTP proxy; None if it is."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https"):
        return "must start with http:// or https://"
    reason = _form_fault(rest, ENCODE)
    place = rest.rpartition("@")[2]
    if reason is None and not place.partition("/")[0].partition(":")[0]:
        reason = "has no host"
    if reason is None and place.partition("/")[2]:
        reason = "must end with the proxy's port: it has no path"
    return reason


def _form_fault(rest: str, instead: str) -> str | None:
    """What is wrong behind `scheme://`; most of it comes from a password that was not encoded."""
    address, _, query = rest.partition("?")
    login, at, place = address.rpartition("@")
    if _BAD_PERCENT.search(rest) or "#" in rest:
        return f"holds a # or a % that encodes nothing: {instead}"
    if "@" in login or "/" in login:
        return f"holds an @ or a / before its host: {instead}"
    if not at and "@" in query.partition("=")[0]:
        return f"holds a ? before its host: {instead}"
    if any(character.isspace() for character in rest):
        return "holds white space"
    for host in place.partition("/")[0].split(","):
        port = _PORT.search(host)
        if port and not (port[1].isdigit() and 0 < int(port[1]) < 65_536):
            return f"has a port that is not a number from 1 to 65535; {instead}"
    return None


def database_url_of(parts: Mapping[str, str]) -> str:
    """The URL of DATABASE_HOST and the others. Raises Misconfigured for a missing part or an invalid port."""
    given = {name.removeprefix("DATABASE_"): value for name, value in parts.items()}
    for name in ("NAME", "USER"):
        if not given.get(name):
            raise Misconfigured(
                f"is not set, and DATABASE_HOST needs it beside a DATABASE_{name}",
                param=f"DATABASE_{name}",
            )
    mode, ca_file = given.get("SSLMODE"), given.get("SSLROOTCERT")
    if mode and mode not in SSL_MODES:
        raise Misconfigured(f"must be one of {', '.join(SSL_MODES)}", param="DATABASE_SSLMODE")
    if ca_file and ca_file != "system" and (reason := ca_file_fault(ca_file)):
        raise Misconfigured(reason, param="DATABASE_SSLROOTCERT")
    query = {
        key: given[key.upper()] for key in ("sslmode", "sslrootcert") if given.get(key.upper())
    }
    host, port = given["HOST"], _port(parts, "DATABASE_PORT", "5432")
    if host.startswith("/"):
        query, place = {"host": host, "port": port, **query}, ""
    else:
        place = ",".join(f"{bracketed(one.strip())}:{port}" for one in host.split(","))
    login = _login(given["USER"], given.get("PASSWORD", ""))
    return f"postgresql://{login}{place}/{_encoded(given['NAME'])}" + _query(query)


def redis_url_of(parts: Mapping[str, str], *, tls: bool, server: str = "REDIS") -> str:
    """The URL of `<server>_HOST` and the others. Raises Misconfigured for an invalid port or number."""
    given = {name.removeprefix(f"{server}_"): value for name, value in parts.items()}
    database = given.get("DB") or "0"
    if not database.isdigit():
        raise Misconfigured("must be a number, such as 0", param=f"{server}_DB")
    login = _login(given.get("USER", ""), given.get("PASSWORD", ""))
    host = given["HOST"]
    if host.startswith("/"):
        return f"unix://{login}{quote(host)}?db={database}"
    scheme, port = "rediss" if tls else "redis", _port(parts, f"{server}_PORT", "6379")
    return f"{scheme}://{login}{bracketed(host)}:{port}/{database}"


def _port(parts: Mapping[str, str], name: str, default: str) -> str:
    port = parts.get(name) or default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise Misconfigured("must be a port: a number from 1 to 65535", param=name)
    return port


def _login(user: str, password: str) -> str:
    if not user and not password:
        return ""
    # Dots too: three of them would make a URL look like an example that was cut short.
    hidden = _encoded(password).replace(".", "%2E")
    return f"{_encoded(user)}:{hidden}@" if password else f"{_encoded(user)}@"


def _encoded(text: str) -> str:
    return quote(text, safe="")


def bracketed(host: str) -> str:
    """The host as a URL has it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _query(query: Mapping[str, str]) -> str:
    return f"?{urlencode(query, quote_via=quote)}" if query else ""
