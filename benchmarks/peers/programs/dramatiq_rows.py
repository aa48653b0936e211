"""Dramatiq on Redis; each task commits its result to Postgres as a row, as services with results do."""

from __future__ import annotations

import os
import threading

import dramatiq
import psycopg2
from dramatiq.brokers.redis import RedisBroker
from redis import ConnectionPool

TABLE = "CREATE TABLE IF NOT EXISTS dramatiq_results (id bigserial PRIMARY KEY, task int, answer text, at timestamptz DEFAULT clock_timestamp())"
dramatiq.set_broker(
    RedisBroker(connection_pool=ConnectionPool.from_url(os.environ["PEER_REDIS"]))
)
here = threading.local()


def connection() -> psycopg2.extensions.connection:
    """This thread's; every statement commits."""
    if not hasattr(here, "connection"):
        here.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        here.connection.autocommit = True
    return here.connection


@dramatiq.actor
def store(number: int) -> None:
    """A row."""
    with connection().cursor() as cursor:
        cursor.execute(
            "INSERT INTO dramatiq_results (task, answer) VALUES (%s, %s)", (number, "Yes.")
        )


def enqueue(tasks: int) -> None:
    """Queues so many tasks."""
    with connection().cursor() as cursor:
        cursor.execute(TABLE)
    for number in range(tasks):
        store.send(number)
