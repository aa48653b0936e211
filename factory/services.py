"""The outside that every part of the platform shares: settings, Postgres, Redis. Wired in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from factory.config import Settings
from factory.config.tls import without_tls_options
from factory.errors import Misconfigured
from factory.store.database import Database

REDIS_TIMEOUT_S = 2.0
REDIS_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "socket_timeout": REDIS_TIMEOUT_S,
        "socket_connect_timeout": REDIS_TIMEOUT_S,
        "health_check_interval": 30,
    }
)
NO_TLS: Mapping[str, Any] = MappingProxyType({})
SENTINEL_MASTER = "mymaster"
"""The group that Sentinels watch, unless the URL names another."""
SENTINEL_PORT = 26379
SENTINEL_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "socket_timeout": 0.5,
        "socket_connect_timeout": 0.5,
        # One that is away is not asked again: it often died with the master, and there are others.
        "retry": Retry(NoBackoff(), 0),
    }
)


@dataclass(frozen=True, slots=True)
class Services:
    """Passed first to whatever reaches outside. Holds connections, so one per process."""

    settings: Settings
    database: Database
    redis: Redis
    limiter: Redis
    """Where workers share rate limits: another database than the broker's."""

    def close(self) -> None:
        """Gives every connection back."""
        self.database.close()
        self.redis.close()
        self.limiter.close()


def connect(settings: Settings, process: str) -> Services:
    """Services that connect on first use; `process` names this program to Postgres."""
    return Services(
        settings,
        Database(settings.libpq_url, pool_size=settings.database_pool_size, process=process),
        connect_redis(
            settings.redis_url, settings.redis_tls_options, settings.redis_sentinel_password
        ),
        connect_redis(
            settings.limiter_url, settings.limiter_tls_options, settings.redis_sentinel_password
        ),
    )


def connect_redis(
    redis_url: str, tls: Mapping[str, Any] = NO_TLS, sentinel_password: str | None = None
) -> Redis:
    """A client that connects on first use and waits `REDIS_TIMEOUT_S` at most.

    Besides redis-py's own URLs it takes several Sentinels, which know the address of the master:
    `sentinel://[user:password@]a:26379;sentinel://b:26379/0?master_name=mymaster`. Raises Misconfigured.
    `tls`: as `Settings.redis_tls_options` gives it.
    """
    if not redis_url.startswith("sentinel://"):
        return Redis.from_url(
            without_tls_options(redis_url) if tls else redis_url, **REDIS_OPTIONS, **tls
        )
    addresses, _, query = redis_url.partition("?")
    nodes = [urlsplit(address) for address in addresses.split(";")]
    if not all(node.hostname for node in nodes):
        raise Misconfigured("REDIS_URL names a Sentinel without a host", param="REDIS_URL")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [(node.hostname, node.port or SENTINEL_PORT) for node in nodes],
        sentinel_kwargs=sentinel_options(tls, sentinel_password),
    )
    [name] = parse_qs(query).get("master_name", [SENTINEL_MASTER])
    master: Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        name,
        username=_decoded(nodes[0].username),
        password=_decoded(nodes[0].password),
        db=int(nodes[-1].path.lstrip("/") or 0),
        **REDIS_OPTIONS,
        **with_tls(tls),
    )
    return master


def sentinel_options(tls: Mapping[str, Any], password: str | None) -> dict[str, Any]:
    """How redis-py and kombu reach a Sentinel."""
    secret = {"password": password} if password else {}
    return {**SENTINEL_OPTIONS, **with_tls(tls), **secret}


def with_tls(tls: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with the switch that redis-py wants where no URL says `rediss`."""
    return {"ssl": True, **tls} if tls else {}


def _decoded(part: str | None) -> str | None:
    return part if part is None else unquote(part)
