"""Kombu's Redis transport, which fetches as many messages at once as there is room for.

BRPOP gives one message, at the cost of a round trip and a turn of Celery's event loop, which was half of the
consumer thread's work. Behind one message others mostly wait, and one RPOP takes them all.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import partial
from queue import Empty
from typing import Any

from celery.bootsteps import StartStopStep
from celery.worker.consumer import Consumer
from kombu.transport import redis
from kombu.utils.scheduling import round_robin_cycle
from redis.exceptions import ResponseError

from workers.foreign_messages import (
    DroppedMessages,
    holds_another_type,
    put_aside,
    read_message,
    with_own_key,
)
from workers.intake import URGENCY, Intake

AT_ONCE = 32
"""The most messages of one lane before another lane is asked."""
BRIEFLY_S = 0.1
"""How long BRPOP waits while full lanes are left out: it cannot be told when they have room again."""


class LanesInTurn(round_robin_cycle):
    """The order in which a worker asks its lanes, as its channel sets it.

    Kombu's own cycles either serve `high` and `bulk` alike, or always one provider before the other.
    """

    asked: Sequence[str] | None = None

    def consume(self, n: int) -> Sequence[str]:
        """The queues to ask now; all of them if no slots are counted, as for replies to `inspect`."""
        return self.items[:n] if self.asked is None else self.asked


class EagerFetch:
    """Mixin for a Redis channel: asks lanes in their turn, and after each message takes the next ones of its queue."""

    intake: Intake | None = None
    """What may start now. None: everything, one message at a time."""
    tasks: Container[str] | None = None
    """Names of known tasks. None: any."""
    dropped = DroppedMessages()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Full lanes are left out of this BRPOP, until the next one."""
        if self.intake:
            cycle = self._queue_cycle  # type: ignore[attr-defined]
            cycle.asked = self.intake.order(cycle.items)
            timeout = BRIEFLY_S if self.intake.waiting else timeout
        super()._brpop_start(timeout)  # type: ignore[misc]

    def fetch(self) -> None:
        """Takes messages of lanes that BRPOP does not wait for, on another connection, as far as they have room."""
        try:
            self._fetch()
        except ResponseError as error:
            self._put_foreign_keys_aside(error)

    def _fetch(self) -> None:
        while lanes := self._reopened():
            with self.conn_or_acquire() as client:  # type: ignore[attr-defined]
                found = client.lmpop(len(lanes), *lanes, direction="RIGHT", count=1)
                if not found:
                    return
                lane = found[0].decode()
                self._deliver_to(lane, found[1])
                if (more := self._room(lane)) > 0:
                    self._deliver_to(lane, client.rpop(lane, more) or ())

    def _reopened(self) -> list[str]:
        consumed = self._queue_cycle.items  # type: ignore[attr-defined]
        return [lane for lane in self.intake.reopened() if lane in consumed] if self.intake else []

    def _room(self, queue: str) -> int:
        return min(AT_ONCE, self.intake.room(queue)) if self.intake else 0

    def _deliver_to(self, queue: str, messages: Iterable[bytes]) -> None:
        for text in messages:
            try:
                message = read_message(text, self.tasks if queue in URGENCY else None)
                self.connection._deliver(message, queue)  # type: ignore[attr-defined]
            except self.connection_errors:  # type: ignore[attr-defined]
                raise
            except Exception as error:  # noqa: BLE001 - a malformed message may break Celery anywhere
                self.dropped.drop(queue, text, error)

    def _brpop_read(self, **options: Any) -> bool:
        """As kombu's, but a foreign message does not end the worker. Raises kombu's Empty if BRPOP found nothing, and
        redis' errors.
        """
        try:
            return self._read_and_pop(options)
        except ResponseError as error:
            self._put_foreign_keys_aside(error)
            raise Empty from None
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # type: ignore[attr-defined]

    def _read_and_pop(self, options: dict[str, Any]) -> bool:
        client = self.client  # type: ignore[attr-defined]
        try:
            found = client.parse_response(client.connection, "BRPOP", **options)
        except self.connection_errors:  # type: ignore[attr-defined]
            client.connection.disconnect()
            raise
        if not found:
            raise Empty
        queue = found[0].decode()
        self._queue_cycle.rotate(queue)  # type: ignore[attr-defined]
        self._deliver_to(queue, [found[1]])
        if (count := self._room(queue)) > 0:
            self._deliver_to(queue, self._pop(queue, count))
        return True

    def _put_foreign_keys_aside(self, error: ResponseError) -> None:
        """Puts keys of another type aside: one of them makes BRPOP fail for all lanes."""
        if not holds_another_type(error):
            raise error
        with self.conn_or_acquire() as client:  # type: ignore[attr-defined]
            for queue in self._queue_cycle.items:  # type: ignore[attr-defined]
                put_aside(client, queue, b"list")

    def _queue_bind(self, exchange: str, *rest: Any) -> None:
        bind = partial(super()._queue_bind, exchange, *rest)  # type: ignore[misc]
        with self.conn_or_acquire() as client:  # type: ignore[attr-defined]
            key = self.keyprefix_queue % exchange  # type: ignore[attr-defined]
            with_own_key(client, key, b"set", bind)

    def _pop(self, queue: str, count: int) -> list[bytes]:
        """Takes more messages, on BRPOP's own connection, which has just become idle."""
        client = self.client  # type: ignore[attr-defined]
        try:
            client.connection.send_command("RPOP", queue, count)
            return client.parse_response(client.connection, "RPOP") or []
        except self.connection_errors:  # type: ignore[attr-defined]
            client.connection.disconnect()
            raise


class Channel(EagerFetch, redis.Channel):  # type: ignore[misc]
    """A channel to one Redis."""


class SentinelChannel(EagerFetch, redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the master that Sentinels name."""


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
        channel = parent.task_consumer.channel
        channel.intake, parent.pool.fetch = parent.pool.intake, channel.fetch
        channel.tasks = parent.app.tasks
