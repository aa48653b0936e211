"""Clients: they submit jobs one after another, and note what was accepted and what failed."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.drills.stage import until
from factory.domain.job import parse_id

BODY = {"model": "openai/gpt-4o-mini", "input": "{{simulate latency_ms=100..1500}} Why?"}
ANSWER_S = 60.0
RETRY_S = 0.1
ACCEPTED = 202
LEAST = 10
"""Jobs before and after a disaster: fewer would show nothing."""


@dataclass(frozen=True, slots=True)
class Clients:
    """How they behave."""

    urls: Sequence[str]
    """In turn, from one that does not answer to the next."""
    key: str
    patient: bool = True
    """They try again with the same Idempotency-Key; otherwise each request that fails counts."""
    count: int = 4
    pause_s: float = 0.05
    trusted: str | bool = True
    """The file of the authority that vouches for the gateway."""
    server_name: str | None = None
    """Whom its certificate has to name, where the URL has an address."""


@dataclass
class Load:
    """What the clients know. All times are `time.monotonic`."""

    accepted: dict[uuid.UUID, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    requests: int = 0

    def since(self, moment: float) -> list[uuid.UUID]:
        """Jobs that were accepted after it."""
        return [job_id for job_id, at in self.accepted.copy().items() if at > moment]

    def before(self, moment: float) -> list[uuid.UUID]:
        return [job_id for job_id, at in self.accepted.copy().items() if at <= moment]

    def go_on(self, seconds: float) -> None:
        """Returns after so long, but not before some more jobs are accepted. Raises TimeoutError with what failed."""
        enough = len(self.accepted) + LEAST
        time.sleep(seconds)
        try:
            until(lambda: len(self.accepted) >= enough)
        except TimeoutError as error:
            raise TimeoutError(f"clients get nothing done: {self.failures[-3:]}") from error


@contextmanager
def submitting(clients: Clients) -> Iterator[Load]:
    """Clients at work during the block. They end their last request after it, whatever it takes."""
    load, done = Load(), threading.Event()
    threads = [
        threading.Thread(target=_submit, args=[clients, load, done], daemon=True)
        for _ in range(clients.count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        done.set()
        for thread in threads:
            thread.join(ANSWER_S)


def _submit(clients: Clients, load: Load, done: threading.Event) -> None:
    urls = itertools.cycle(clients.urls)
    # No connection is used twice: one that a server closes meanwhile looks like a failure.
    limits = httpx.Limits(max_keepalive_connections=0)
    trusted: Any = clients.trusted
    if isinstance(trusted, str):
        trusted = ssl.create_default_context(cafile=trusted)
    with httpx.Client(timeout=ANSWER_S, limits=limits, verify=trusted) as http:
        url = next(urls)
        while not done.wait(clients.pause_s):
            headers = {
                "Authorization": f"Bearer {clients.key}",
                "Idempotency-Key": uuid.uuid4().hex,
            }
            while not _accepted(http, clients, url, headers, load) and clients.patient:
                url = next(urls)
                if done.wait(RETRY_S):
                    return


def _accepted(
    http: httpx.Client, clients: Clients, url: str, headers: dict[str, str], load: Load
) -> bool:
    load.requests += 1
    named = {"sni_hostname": clients.server_name} if clients.server_name else {}
    try:
        answer = http.post(f"{url}/api/jobs", json=BODY, headers=headers, extensions=named)
    except httpx.TransportError as error:
        load.failures.append(f"{type(error).__name__}: {error}")
        return False
    if answer.status_code != ACCEPTED:
        load.failures.append(f"{answer.status_code}: {answer.text[:200]}")
        return False
    load.accepted[parse_id(answer.json()["id"])] = time.monotonic()
    return True
