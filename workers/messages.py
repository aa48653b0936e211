"""Messages on the lanes: job ids, many published in one round trip."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from celery.signals import before_task_publish
from kombu.exceptions import KombuError
from kombu.messaging import Producer
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
"""Values of headers that mean the same as no header."""
PROMPT = {
    "max_retries": 0,
    "retry_on_timeout": False,
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
}
"""A publish fails at once and is repeated by the next round. Kombu's default would block the dispatcher for 6 s."""


class Publisher:
    """One connection to the broker. Raises Unavailable when it does not answer; the next call reconnects.

    It has a connection of its own: the app's pools keep broken ones.
    """

    def __init__(self, app: WorkerApp) -> None:
        options = {**app.conf.broker_transport_options, **PROMPT}
        app.conf.broker_transport_options = options
        before_task_publish.connect(remove_empty_headers)
        self._app = app
        self._producer: Producer | None = None

    def send(self, lane: str, messages: Sequence[Message]) -> None:
        """Puts messages on a lane. A message of one job has the job's id, by which Flower shows it."""
        if self._producer is None:
            self._producer = self._app.amqp.Producer(self._app.connection_for_write())
        try:
            with self._producer.batch(BATCH):
                for message in messages:
                    self._send_one(lane, message)
        except (KombuError, RedisError, OSError) as error:
            self._disconnect()
            if holds_another_type(error):
                self._put_foreign_keys_aside(lane)
            raise Unavailable(f"the broker does not answer: {error}") from error

    def _put_foreign_keys_aside(self, lane: str) -> None:
        """Renames keys of another type, so that the next try can make ours."""
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            put_aside(channel.client, lane, b"list")
            put_aside(channel.client, channel.keyprefix_queue % lane, b"set")

    def _disconnect(self) -> None:
        if self._producer is not None:
            self._producer.connection.collect()
            self._producer = None

    def _send_one(self, lane: str, message: Message) -> None:
        job_ids = [public_id(job_id) for job_id in message.job_ids]
        self._app.send_task(
            RUN_QUARANTINED if message.quarantine else RUN_JOBS,
            args=[job_ids],
            task_id=job_ids[0] if len(job_ids) == 1 else str(uuid.uuid4()),
            queue=lane,
            producer=self._producer,
            retry=False,
            ignore_result=True,
        )


def remove_empty_headers(headers: dict[str, Any], **_: object) -> None:
    """Removes headers without information: Celery sends 19, of which 8 have any, and keeps three copies of them."""
    for name in [name for name, value in headers.items() if value in EMPTY]:
        del headers[name]
