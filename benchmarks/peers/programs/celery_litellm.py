"""Celery with one task that asks a model, as many services have it; its answer is the task's result."""

from __future__ import annotations

import gc
import os
import sys

from celery import Celery

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no fetch of prices at the import
import litellm  # before the fork: the children share its pages

# What is imported is then not copied by a child's first collection: 0.7 GB for eight, and not 1.2.
# https://docs.python.org/3/library/gc.html#gc.freeze
gc.freeze()

app = Celery("peer", broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])
app.conf.update(
    worker_prefetch_multiplier=1,
    task_acks_late=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="complete")
def complete(prompt: str) -> str:
    """The text of the model's answer."""
    messages = [{"role": "user", "content": prompt}]
    answer = litellm.completion("openai/gpt-4o-mini", messages, max_retries=0)
    return str(answer.choices[0].message.content)


def main() -> None:
    """`python -m benchmarks.peers.programs.celery_litellm TASKS PROMPT`: queues them."""
    for number in range(int(sys.argv[1])):
        complete.delay(f"{sys.argv[2]} {number}")


if __name__ == "__main__":
    main()
