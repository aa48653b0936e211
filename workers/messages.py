"""Messages on the lanes: job ids, many published in one round trip."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from uuid import UUID

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from factory.domain.job import public_id
from factory.errors import Unavailable
from workers.app import WorkerApp

RUN_JOBS = "factory.run_jobs"
BATCH = 500


class Publisher:
    """One connection to the broker. Raises Unavailable when it does not answer; the next call reconnects."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app

    def send(self, lane: str, messages: Sequence[Sequence[UUID]]) -> None:
        """Puts messages on a lane. A message of one job has the job's id, so Flower shows it by that."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer, producer.batch(BATCH):
                for job_ids in messages:
                    self._send_one(producer, lane, [public_id(job_id) for job_id in job_ids])
        except (OperationalError, RedisError, OSError) as error:
            self._app.pool.force_close_all()
            raise Unavailable(f"the broker does not answer: {error}") from error

    def _send_one(self, producer: object, lane: str, job_ids: list[str]) -> None:
        self._app.send_task(
            RUN_JOBS,
            args=[job_ids],
            task_id=job_ids[0] if len(job_ids) == 1 else str(uuid.uuid4()),
            queue=lane,
            producer=producer,
            retry=False,
            ignore_result=True,
        )
