"""The obvious way: a Celery task that calls the provider and stores the answer."""

from __future__ import annotations

import os

import httpx
import psycopg2
from celery import Celery

LONG_S = 60.0
STORE = "INSERT INTO answers (job, answer) VALUES (%s, %s)"

app = Celery("naive", broker=os.environ["NAIVE_BROKER"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ["NAIVE_PREFETCH"]),
    task_acks_late=os.environ["NAIVE_ACKS_LATE"] == "yes",
    broker_connection_retry_on_startup=True,
)


@app.task(name="naive.ask")  # type: ignore[untyped-decorator]
def ask(job: str, prompt: str) -> None:
    """A paid call, then its row."""
    answer = httpx.post(
        f"{os.environ['NAIVE_PROVIDER']}/openai/v1/chat/completions",
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]},
        headers={"Authorization": "Bearer dummy", "x-factory-job": job},
        timeout=LONG_S,
    ).raise_for_status()
    connection = psycopg2.connect(os.environ["NAIVE_DATABASE"])
    with connection, connection.cursor() as cursor:
        cursor.execute(STORE, (job, answer.text))
    connection.close()
