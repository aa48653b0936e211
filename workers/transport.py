"""Kombu's Redis transport, but a fetch takes as many messages as there is room for.

BRPOP gives one message, and each costs a round trip and a turn of Celery's event loop: half of what the
consumer's thread did. Where one message came, others mostly wait behind it, and one RPOP takes them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from celery.bootsteps import StartStopStep
from celery.worker.consumer import Consumer
from kombu.transport import redis

AT_ONCE = 32
"""Messages of one lane at most, before a more urgent lane is asked again."""


def _no_room(_queue: str) -> int:
    return 0


class EagerFetch:
    """For a Redis channel: after each message that BRPOP gave, the next ones of its queue."""

    room: Callable[[str], int] = staticmethod(_no_room)
    """How many more messages of a queue can start now."""

    def _brpop_read(self, **options: Any) -> bool:
        """Raises kombu's Empty where BRPOP found nothing, and redis' errors."""
        super()._brpop_read(**options)  # type: ignore[misc]
        # orjson shares the names of the headers among messages: half the memory of each, a third of the time.
        # The rotation has put the message's queue last. Once the consumer is cancelled there is none.
        for queue in self._queue_cycle.items[-1:]:  # type: ignore[attr-defined]
            count = min(AT_ONCE, self.room(queue))
            for item in self._pop(queue, count) if count > 0 else ():
                self.connection._deliver(orjson.loads(item), queue)  # type: ignore[attr-defined]
        return True

    def _pop(self, queue: str, count: int) -> list[bytes]:
        """On BRPOP's own connection, which has just become idle."""
        client = self.client  # type: ignore[attr-defined]
        try:
            client.connection.send_command("RPOP", queue, count)
            return client.parse_response(client.connection, "RPOP") or []
        except self.connection_errors:  # type: ignore[attr-defined]
            client.connection.disconnect()
            raise


class Channel(EagerFetch, redis.Channel):
    """Of one Redis."""


class SentinelChannel(EagerFetch, redis.SentinelChannel):
    """Of the master that Sentinels name."""


class Transport(redis.Transport):
    """For redis://, rediss:// and redis+socket://."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """For sentinel://."""

    Channel = SentinelChannel


class RoomStep(StartStopStep):  # type: ignore[misc]
    """Tells a consumer's channel, which is new after each reconnect, how much the pool can take."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Consumer) -> None:
        """Once the channel is there."""
        parent.task_consumer.channel.room = parent.pool.room
