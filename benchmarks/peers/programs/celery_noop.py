"""Celery with a task that does nothing and keeps no result: nothing at all is durable."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("peer", broker=os.environ["PEER_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(number: int) -> None:
    """Nothing."""


def enqueue(tasks: int) -> None:
    """Queues so many tasks."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch(500):
        for number in range(tasks):
            noop.apply_async((number,), producer=producer)
