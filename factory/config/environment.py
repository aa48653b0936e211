"""Turns the environment into one plain value a setting: files are read, white space is removed, URLs are built."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from factory.config.addresses import (
    DATABASE_PARTS,
    LIMITER_REDIS_PARTS,
    REDIS_PARTS,
    database_url_of,
    redis_url_of,
)
from factory.config.faults import Fault, refuse, whole_placeholder
from factory.config.limiter import is_same_database
from factory.config.provider_fields import key_names
from factory.env_file import use_env_file
from factory.errors import Misconfigured
from factory.providers import PROVIDERS

SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_PREVIOUS",
    "JWT_SECRET_KEY",
    "JWT_SECRET_KEY_PREVIOUS",
    *key_names(),
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "REDIS_SENTINEL_PASSWORD",
    "LIMITER_REDIS_URL",
    "LIMITER_REDIS_PASSWORD",
    "PROVIDER_PROXY_URL",
    "WEBHOOK_PROXY_URL",
)
"""Settings that may come from a file that `<NAME>_FILE` names, as Docker and Kubernetes mount secrets."""
PARTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "DATABASE": MappingProxyType(DATABASE_PARTS),
        "REDIS": MappingProxyType(REDIS_PARTS),
        "LIMITER_REDIS": MappingProxyType(LIMITER_REDIS_PARTS),
    }
)
ALONE = ("PASSWORD",)
"""Parts that may be set without a host: a compose file's `.env` has only the password."""
PREVIOUS = "SECRET_KEY_PREVIOUS"
SAME_DATABASE = "names the broker's database: name another, or leave it empty for the next one"
LINKS = ("tcp://", "udp://")
TRUE = ("1", "true", "t", "yes", "y", "on")
QUOTES = "'\""


def environment() -> dict[str, str]:
    """The process' environment with its env file, resolved. Raises Misconfigured that lists all faults."""
    use_env_file(os.environ)
    found, faults = resolve(os.environ)
    refuse(faults)
    return found


def resolve(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """All of `environ`, with the servers' URLs in place of their parts, and values in place of their files.
    Empty variables are left out. Resolving again changes nothing.
    """
    found = {name: plain(value) for name, value in environ.items()}
    raw = {name: environ.get(name, "") for name in ("SECRET_KEY", PREVIOUS)}
    if raw[PREVIOUS].strip():
        # Unchanged: API keys may have been hashed with a secret that had white space around it.
        found[PREVIOUS] = raw[PREVIOUS]
    elif raw["SECRET_KEY"] != found.get("SECRET_KEY", ""):
        found[PREVIOUS] = raw["SECRET_KEY"]
    found = {name: value for name, value in found.items() if value.strip()}
    if "NO_PROXY" not in found and "no_proxy" in found:
        found["NO_PROXY"] = found["no_proxy"]
    for url in (one.base_url for one in PROVIDERS):
        if url.was in found and url.setting not in found:
            found[url.setting] = found[url.was]
    for name in [name for name in found if name.endswith("_PORT")]:
        # Kubernetes and Docker write such a variable for each service: REDIS_PORT=tcp://10.0.0.1:6379.
        if found[name].startswith(LINKS):
            del found[name]
    faults = [*_read_files(found), *_build_urls(found)]
    return found, faults


def plain(value: str) -> str:
    """The value without white space around it, and without one pair of quotes meant for a shell."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES:
        return value[1:-1].strip()
    return value


def consumed_names() -> Iterable[str]:
    """The names that `resolve` replaces; a program that gets its result must not get these too."""
    yield from (f"{name}_FILE" for name in SECRETS)
    for parts in PARTS.values():
        yield from parts


def _read_files(found: dict[str, str]) -> Iterable[Fault]:
    for name in SECRETS:
        variable = f"{name}_FILE"
        path = found.pop(variable, None)
        if path is None:
            continue
        if name in found:
            yield Fault(variable, f"is set, and so is {name}: leave one of them")
            continue
        try:
            found[name] = plain(Path(path).read_text())
        except OSError as error:
            yield Fault(variable, f"names a file that cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            yield Fault(variable, "names a file that is not text in UTF-8")
        else:
            if not found[name]:
                yield Fault(variable, "names an empty file")


def _build_urls(found: dict[str, str]) -> Iterable[Fault]:
    # REDIS_TLS stays: it belongs to a URL of Sentinels as well.
    tls = found.get("REDIS_TLS", "").lower() in TRUE
    yield from _build_url(found, "DATABASE", database_url_of)
    for server in ("REDIS", "LIMITER_REDIS"):
        yield from _build_url(found, server, partial(redis_url_of, tls=tls, server=server))
    if tls and found.get("REDIS_URL", "").startswith(("redis://", "unix://")):
        yield Fault("REDIS_TLS", "is true, and REDIS_URL has no TLS: write rediss://")
    if is_same_database(found.get("REDIS_URL", ""), found.get("LIMITER_REDIS_URL", "")):
        yield Fault("LIMITER_REDIS_URL", SAME_DATABASE)


def _build_url(
    found: dict[str, str], server: str, url_of: Callable[[Mapping[str, str]], str]
) -> Iterable[Fault]:
    """The URL, from itself or from its parts: both at once are refused, because they might differ."""
    url, host = f"{server}_URL", f"{server}_HOST"
    parts = {name: found.pop(name) for name in PARTS[server] if name in found}
    if not parts:
        return
    password = f"{server}_PASSWORD"
    if reason := whole_placeholder(parts.get(password, "")):
        yield Fault(password, reason, weak=True)
    if url in found:
        names = ", ".join(parts)
        yield Fault(
            url, f"is set beside {names}: leave the URL or the parts (an empty one is none)"
        )
    elif host in parts:
        try:
            found[url] = url_of(parts)
        except Misconfigured as error:
            yield Fault(error.param or host, error.message)
    else:
        alone = {f"{server}_{name}" for name in ALONE}
        for name in parts.keys() - alone:
            yield Fault(name, f"is set without {host}")
