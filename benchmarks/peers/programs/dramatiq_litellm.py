"""As `dramatiq_calls`, with the call that most services make: `litellm.completion`."""

from __future__ import annotations

import os

import dramatiq

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no fetch of prices at the import
import litellm

from benchmarks.peers.programs.dramatiq_rows import TABLE, connection, insert


@dramatiq.actor
def complete_and_store(number: int) -> None:
    """A row with an answer."""
    messages = [{"role": "user", "content": f"{{{{simulate latency_ms=0}}}} {number}"}]
    answer = litellm.completion("openai/gpt-4o-mini", messages, max_retries=0)
    insert(number, str(answer.choices[0].message.content))


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    with connection().cursor() as cursor:
        cursor.execute(TABLE)
    for number in range(tasks):
        complete_and_store.send(number)
