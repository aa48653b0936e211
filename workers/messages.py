"""Messages on the lanes: job ids, many published in one round trip."""

from __future__ import annotations

import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from celery.utils.saferepr import saferepr
from kombu.connection import Connection
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError

from factory.domain.job import public_id
from factory.errors import Unavailable
from factory.pipeline.dispatch.publish import Message
from workers.app import WorkerApp
from workers.foreign_messages import holds_another_type, put_aside

RUN_JOBS = "factory.run_jobs"
RUN_QUARANTINED = "factory.run_suspects"
BATCH = 500
EMPTY: tuple[object, ...] = (None, 0, {}, [None, None])
"""Values of headers that mean the same as no header. Celery sends 19 headers, of which 8 have any information."""
PROMPT = {
    "max_retries": 0,
    "retry_on_timeout": False,
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
}
"""A publish fails at once and is repeated by the next round. Kombu's default would block the dispatcher for 6 s."""


@dataclass(frozen=True, slots=True)
class Template:
    """What all messages of a lane have in common, as Celery writes it.

    Celery and kombu take 250 µs to publish a message. Of what they write, seven fields differ from one to the next.
    """

    envelope: Mapping[str, Any]
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    options: Sequence[Any]
    """What follows the arguments in the body."""
    longest_repr: int

    def filled(self, message: Message) -> bytes:
        """The message as it lies in Redis. That of one job has the job's id, by which Flower shows it."""
        job_ids = [public_id(job_id) for job_id in message.job_ids]
        task_id = job_ids[0] if len(job_ids) == 1 else str(uuid.uuid4())
        headers = {
            **self.headers,
            "task": RUN_QUARANTINED if message.quarantine else RUN_JOBS,
            "id": task_id,
            "root_id": task_id,
            "argsrepr": self._shown([job_ids]),
        }
        properties = {
            **self.properties,
            "correlation_id": task_id,
            "delivery_tag": str(uuid.uuid4()),
        }
        body = b64encode(orjson.dumps([[job_ids], *self.options])).decode()
        return orjson.dumps(
            {**self.envelope, "body": body, "headers": headers, "properties": properties}
        )

    def _shown(self, args: list[list[str]]) -> str:
        shown = repr(args)
        if len(shown) <= self.longest_repr:
            return shown
        cut: str = saferepr(args, self.longest_repr)
        return cut


def template(app: WorkerApp, lane: str) -> Template:
    """Has Celery publish a message on the lane, within this process, and keeps what it wrote."""
    with Connection("memory://") as connection:  # type: ignore[no-untyped-call]
        app.send_task(
            RUN_JOBS,
            args=[[]],
            queue=lane,
            producer=app.amqp.Producer(connection),
            retry=False,
            ignore_result=True,
        )
        written = connection.default_channel.basic_get(lane, no_ack=True).serializable()
    _args, *options = orjson.loads(b64decode(written["body"]))
    headers = {name: value for name, value in written["headers"].items() if value not in EMPTY}
    return Template(written, headers, written["properties"], options, app.amqp.argsrepr_maxsize)


class Publisher:
    """One connection to the broker. Raises Unavailable when it does not answer; the next call reconnects.

    It has a connection of its own: the app's pools keep broken ones. It is kombu's, which knows Sentinels, certificates
    and prefixes of keys.
    """

    def __init__(self, app: WorkerApp) -> None:
        options = {**app.conf.broker_transport_options, **PROMPT}
        app.conf.broker_transport_options = options
        self._app = app
        self._templates: dict[str, Template] = {}
        self._connection: Connection | None = None
        self._client: Redis | None = None
        self._declared: set[str] = set()
        """Lanes that were declared on this connection."""

    def send(self, lane: str, messages: Sequence[Message]) -> None:
        """Puts messages on a lane."""
        if lane not in self._templates:
            self._templates[lane] = template(self._app, lane)
        filled = map(self._templates[lane].filled, messages)
        try:
            client = self._connected(lane)
            while some := list(islice(filled, BATCH)):
                client.lpush(lane, *some)
        except (KombuError, RedisError, OSError) as error:
            self._disconnect()
            if holds_another_type(error):
                self._put_foreign_keys_aside(lane)
            raise Unavailable(f"the broker does not answer: {error}") from error

    def _connected(self, lane: str) -> Redis:
        if self._connection is None:
            self._connection = self._app.connection_for_write()
        if self._client is None or lane not in self._declared:
            channel: Any = self._connection.default_channel
            self._app.amqp.queues[lane](channel).declare()
            self._declared.add(lane)
            with channel.conn_or_acquire() as client:
                self._client = client
        return self._client

    def _put_foreign_keys_aside(self, lane: str) -> None:
        """Renames keys of another type, so that the next try can make ours."""
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            put_aside(channel.client, lane, b"list")
            put_aside(channel.client, channel.keyprefix_queue % lane, b"set")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.collect()  # type: ignore[no-untyped-call]
        self._connection, self._client = None, None
        self._declared.clear()
