"""A client as it should be: an Idempotency-Key on every job, and the same request again when in doubt."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.stack import Stack

RETRY_S = 0.2
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Accepted:
    """A job that was answered with a 2xx, and how long its provider takes to answer."""

    job_id: str
    latency_s: float


class CarefulClient:
    """Submits over HTTP. What was answered with 2xx is in its own log, on disk, before it counts."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self._stack = stack
        self._log = log.open("a")
        self._lock = threading.Lock()
        self.failed_requests = 0
        """Answers and connections that failed and were tried again."""

    def submit(self, text: str, latency_s: float, **body: Any) -> Accepted:
        """Returns with the 2xx. Raises TimeoutError when none comes within 90 s."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        job = {"model": "openai/gpt-4o-mini", "input": text, **body}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = self._post(job, headers)
            if answer is not None and answer.status_code == 202:
                return self._accepted(answer.json()["id"], latency_s)
            time.sleep(RETRY_S)
        raise TimeoutError(f"no 2xx in {PATIENCE_S:g} s")

    def _post(self, job: dict[str, Any], headers: dict[str, str]) -> httpx.Response | None:
        try:
            with self._stack.client() as http:
                answer = http.post("/api/jobs", json=job, headers=headers)
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code >= 500:
            with self._lock:
                self.failed_requests += 1
        elif answer.status_code != 202:
            raise AssertionError(f"unexpected {answer.status_code}: {answer.text}")
        return answer

    def _accepted(self, job_id: str, latency_s: float) -> Accepted:
        with self._lock:
            self._log.write(json.dumps({"at": time.time(), "job": job_id}) + "\n")
            self._log.flush()
            os.fsync(self._log.fileno())
        return Accepted(job_id, latency_s)
