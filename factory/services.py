"""The outside that every part of the platform shares: settings, Postgres, Redis. Wired in one place."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from factory.config import Settings
from factory.store.database import Database

REDIS_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Services:
    """Passed first to whatever reaches outside. Holds connections, so one per process."""

    settings: Settings
    database: Database
    redis: Redis

    def close(self) -> None:
        """Gives every connection back."""
        self.database.close()
        self.redis.close()


def connect(settings: Settings, process: str) -> Services:
    """Services that connect on first use; `process` names this program to Postgres."""
    return Services(
        settings,
        Database(settings.libpq_url, pool_size=settings.database_pool_size, process=process),
        Redis.from_url(
            settings.redis_url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            health_check_interval=30,
        ),
    )
