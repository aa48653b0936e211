"""Notices that the broker was restarted or emptied, and with it lost its hints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import lost_hints

LOOK_S = 1.0
EPOCH_KEY = "factory:epoch"

log = logging.getLogger(__name__)


class BrokerWatch:
    """Looks once a second. Not a part of `Rescue`, which must go on while Redis hangs."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._next_look = 0.0

    def tick(self) -> None:
        """Looks, if a second has passed. Raises Unavailable when Postgres or the broker does not answer."""
        now = self._monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        try:
            notice_new_broker(self._services)
        except RedisError as error:
            raise Unavailable(f"the broker does not answer: {error}") from error


def notice_new_broker(services: Services) -> bool:
    """Whether the broker was restarted or emptied since anyone looked; then every hint is forgotten.

    The broker keeps its own run id under a key: a restart changes the id, a flush removes the key.
    Raises redis' errors and Unavailable.
    """
    # redis-py types every answer as perhaps awaitable, for the sake of its asyncio client.
    server: dict[str, str] = services.redis.info("server")  # type: ignore[assignment]
    run_id = server["run_id"]
    known = services.redis.get(EPOCH_KEY)
    if known == run_id.encode():
        return False
    with services.database.transaction(PLATFORM) as tx:
        forgotten = lost_hints.forget_all(tx)
    services.redis.set(EPOCH_KEY, run_id)
    level = logging.WARNING if forgotten else logging.DEBUG
    log.log(level, "the broker is new or was emptied: %d hints go out again", forgotten)
    return True
