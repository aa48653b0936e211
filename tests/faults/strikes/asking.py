"""A client that posts and reads jobs all the while, and tells how long its longest request took."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.faults.client import ANSWER_S, Accepted
from tests.faults.scene import Scene

PAUSE_S = 0.2
LATENCY_S = 0.05
MODEL = "openai/gpt-4o-mini"
ACCEPTED = 202


@dataclass
class Requests:
    """What became of them. A refused connection is none that failed: a client asks the next gateway."""

    made: int = 0
    longest_s: float = 0.0
    longest: str = ""
    failed: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """In a few words."""
        return f"{self.made} requests, the longest a {self.longest} of {self.longest_s:.2f} s"


@contextmanager
def asking(scene: Scene) -> Iterator[Requests]:
    """Meanwhile jobs are posted and read; those that are accepted are judged with the others."""
    requests, over = Requests(), threading.Event()
    thread = threading.Thread(target=_ask, args=(scene, requests, over), name="asking")
    thread.start()
    try:
        yield requests
    finally:
        over.set()
        thread.join()


def _ask(scene: Scene, requests: Requests, over: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {scene.stack.key}"}
    # No connection is used twice: one that a gateway closed meanwhile would look like a failure.
    unkept = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(headers=headers, timeout=ANSWER_S, limits=unkept) as http:
        while not over.wait(PAUSE_S):
            if job_id := _post(scene, http, requests):
                accepted = Accepted(job_id, datetime.now(UTC), LATENCY_S, MODEL)
                scene.beforehand.append(accepted)
            one = scene.dice.choice(scene.beforehand)
            _made(scene, http, requests, "GET", f"/api/jobs/{one.job_id}")


def _post(scene: Scene, http: httpx.Client, requests: Requests) -> str | None:
    """The job's id, sooner or later; None if its gateway never came."""
    job: dict[str, Any] = {"model": MODEL, "max_attempts": 20}
    job["input"] = f"{{{{simulate latency_ms={LATENCY_S * 1000:.0f}}}}} Why?"
    job["webhook"] = {"url": scene.dice.choice(scene.hooks)}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        answer = _made(scene, http, requests, "POST", "/api/jobs", json=job, headers=key)
        if answer is not None and answer.status_code == ACCEPTED:
            return str(answer.json()["id"])
        time.sleep(PAUSE_S)
    requests.failed["never accepted"] += 1
    return None


def _made(
    scene: Scene, http: httpx.Client, requests: Requests, method: str, path: str, **given: Any
) -> httpx.Response | None:
    began = time.monotonic()
    try:
        answer = http.request(method, f"{scene.stack.url}{path}", **given)
    except httpx.ConnectError:
        return None
    except httpx.TransportError as error:
        requests.failed[type(error).__name__] += 1
        return None
    if (took_s := time.monotonic() - began) > requests.longest_s:
        requests.longest_s, requests.longest = took_s, method
    requests.made += 1
    if not answer.is_success:
        requests.failed[f"{method} {answer.status_code}"] += 1
    return answer
