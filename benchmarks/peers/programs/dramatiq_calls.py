"""As `dramatiq_rows`, but each task also asks the provider, as our jobs do.

The call is as cheap as Python makes one: the standard library's HTTP client on a connection that stays.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from urllib.parse import urlsplit

import dramatiq

from benchmarks.peers.programs.dramatiq_rows import TABLE, connection, insert

PROVIDER = urlsplit(os.environ["OPENAI_BASE_URL"])
HEADERS = {"Authorization": "Bearer simulated", "Content-Type": "application/json"}
here = threading.local()


def ask(prompt: str) -> str:
    """The text of the model's answer."""
    if not hasattr(here, "provider"):
        here.provider = http.client.HTTPConnection(PROVIDER.netloc)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    path = f"{PROVIDER.path}/chat/completions"
    here.provider.request("POST", path, json.dumps(body), HEADERS)
    answer = json.load(here.provider.getresponse())
    return str(answer["choices"][0]["message"]["content"])


@dramatiq.actor
def ask_and_store(number: int) -> None:
    """A row with an answer."""
    insert(number, ask(f"{{{{simulate latency_ms=0}}}} {number}"))


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    with connection().cursor() as cursor:
        cursor.execute(TABLE)
    for number in range(tasks):
        ask_and_store.send(number)
