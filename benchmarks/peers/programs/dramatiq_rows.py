"""Dramatiq on Redis; each task commits its result to Postgres as a row, as services with results do."""

from __future__ import annotations

import os
import threading

import dramatiq
import psycopg2
from dramatiq.brokers.redis import RedisBroker
from redis import ConnectionPool

TABLE = (
    "CREATE TABLE IF NOT EXISTS dramatiq_results (id bigserial PRIMARY KEY, task int, answer text)"
)
INSERT = "INSERT INTO dramatiq_results (task, answer) VALUES (%s, %s)"
dramatiq.set_broker(RedisBroker(connection_pool=ConnectionPool.from_url(os.environ["PEER_REDIS"])))
here = threading.local()


def insert(number: int, answer: str) -> None:
    """A row, committed on this thread's own connection."""
    with connection().cursor() as cursor:
        cursor.execute(INSERT, (number, answer))


def connection() -> psycopg2.extensions.connection:
    """The calling thread's; every statement commits."""
    if not hasattr(here, "connection"):
        here.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        here.connection.autocommit = True
    return here.connection


@dramatiq.actor
def store(number: int) -> None:
    """A row without work."""
    insert(number, "Yes.")


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    with connection().cursor() as cursor:
        cursor.execute(TABLE)
    for number in range(tasks):
        store.send(number)
