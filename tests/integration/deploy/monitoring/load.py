"""Work for a platform that is watched: every kind of answer, of call and of end, again and again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.acceptance.stack import Stack, eventually

MODELS = (
    "openai/gpt-4o-mini",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
    "ollama/phi4",
)
PROMPTS = (
    "{{simulate latency_ms=50..900}} Why?",
    "{{simulate latency_ms=100..400 tail=5%:3000}} How?",
    "{{simulate status=503 times=1}} Who?",
    "{{simulate odd=no-usage}} What?",
    "{{simulate status=400}} Where?",
)
PAUSE_S = 0.05


class Load:
    """A client in a thread. `outage` names the model whose provider is to be away."""

    def __init__(self, platform: Stack, webhook_url: str) -> None:
        self._platform = platform
        self._webhook_url = webhook_url
        self._stopping = threading.Event()
        self.outage: str | None = None

    def run(self) -> None:
        with self._platform.client(retries=3) as http:
            turn = 0
            while not self._stopping.wait(PAUSE_S):
                self._ask(http, turn)
                turn += 1

    def stop(self) -> None:
        self._stopping.set()

    def _ask(self, http: httpx.Client, turn: int) -> None:
        model = MODELS[turn % len(MODELS)]
        text = PROMPTS[turn % len(PROMPTS)]
        if model == self.outage:
            text = "{{simulate status=503}} Hello?"
        body = {"model": model, "input": f"{text} {turn}", "max_attempts": 2}
        if turn % 5 == 0:
            body["webhook"] = {"url": self._webhook_url}
        headers = {"Prefer": "wait=1"} if turn % 7 == 0 else {}
        job = http.post("/api/jobs", json=body, headers=headers).json()
        http.get(f"/api/jobs/{job['id']}")
        if turn % 10 == 0:
            http.get("/api/jobs/job_0")
            http.get("/api/queues")


def kill_a_busy_worker(platform: Stack) -> None:
    """While it has long calls in flight."""
    slow = {"model": MODELS[0], "input": "{{simulate latency_ms=8000}} Long?"}
    platform.submit_lines([slow] * 40)
    busy = eventually(lambda: [one for one in platform.workers() if one["running"] > 4])
    os.kill(busy[0]["pid"], signal.SIGKILL)


@contextmanager
def loaded(platform: Stack, webhook_url: str) -> Iterator[Load]:
    """While the block lasts."""
    load = Load(platform, webhook_url)
    thread = threading.Thread(target=load.run, name="load")
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join()
