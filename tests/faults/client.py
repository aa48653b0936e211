"""A client as it should be: an Idempotency-Key on every job, and the same request again when in doubt."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx

RETRY_S = 0.2
PATIENCE_S = 180.0
ANSWER_S = 60.0


@dataclass(frozen=True)
class Accepted:
    """A job that was answered with a 2xx, when, and how long its provider takes to answer."""

    job_id: str
    at: datetime
    latency_s: float
    model: str


class CarefulClient:
    """Submits over HTTP to where the gateway is now. What was answered with 2xx is in its own log, on disk, before it counts."""

    def __init__(self, url: Callable[[], str], key: str, log: Path) -> None:
        self._url = url
        self._log = log.open("a")
        self._lock = threading.Lock()
        # No connection is used twice: one that a gateway closed meanwhile would look like a failure.
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_S,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self.retried: Counter[str] = Counter()
        """Requests that were made again, by what became of them: refused, broken, or a status."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._log.close()

    def submit(self, job: Mapping[str, Any], latency_s: float) -> Accepted:
        """Returns with the 2xx. Raises TimeoutError when none comes within 180 s."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = self._post(job, headers)
            if answer is not None:
                return self._accepted(answer.json()["id"], latency_s, job["model"])
            time.sleep(RETRY_S)
        raise TimeoutError(f"no 2xx in {PATIENCE_S:g} s")

    def _post(self, job: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response | None:
        """A 202, or None for what a client tries again."""
        try:
            answer = self._http.post(f"{self._url()}/api/jobs", json=job, headers=headers)
        except httpx.TransportError as error:
            self._count("refused" if isinstance(error, httpx.ConnectError) else "broken")
            return None
        if answer.status_code >= 500:
            self._count(str(answer.status_code))
            return None
        assert answer.status_code == 202, f"unexpected {answer.status_code}: {answer.text}"
        return answer

    def _count(self, what: str) -> None:
        with self._lock:
            self.retried[what] += 1

    def _accepted(self, job_id: str, latency_s: float, model: str) -> Accepted:
        at = datetime.now(UTC)
        with self._lock:
            self._log.write(json.dumps({"at": at.isoformat(), "job": job_id}) + "\n")
            self._log.flush()
            os.fsync(self._log.fileno())
        return Accepted(job_id, at, latency_s, model)
