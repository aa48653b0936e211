"""One fault, from the first job to the verdict."""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import httpx

from factory.cli.ports import is_free
from tests.acceptance.stack import FACTORY, Stack, eventually, running_stack
from tests.faults.client import Accepted, CarefulClient
from tests.faults.judge import Verdict, broken_off, judge
from tests.faults.scene import Fault, Found, Scene

OPTIONS = ("--workers", "2", "--dispatchers", "2", "--no-flower")
"""Of `factory up`. Leases, heartbeats and ticks are those of production."""
SUBMITTERS = 4
READY_S = 120.0
ENDS_S = 120.0
PORTS = itertools.count(random.randrange(12_000, 18_000))
"""For gateways, above those that other installations look at first."""
PLAIN = Fault(lambda _scene: None)
"""What most faults need: a stack that they all share."""
HARMLESS = frozenset({"refused"})
"""What a client may meet while a gateway is replaced, and no request is lost by it."""


@dataclass(frozen=True)
class Arrivals:
    """How jobs come: so many at `every_s` seconds, then at `then_every_s` until the strike is over."""

    jobs: int
    every_s: float
    then_every_s: float


QUICK = Arrivals(jobs=20, every_s=0.1, then_every_s=1.0)
FULL = Arrivals(jobs=220, every_s=0.1, then_every_s=0.2)


def run_fault(
    stack: Stack, name: str, fault: Fault, arrivals: Arrivals, scene: Scene, ends_s: float = ENDS_S
) -> Verdict:
    """Submits jobs, breaks things meanwhile, waits for every end, and judges."""
    eventually(lambda: len(stack.workers()) == 2, READY_S)
    log = stack.home / "accepted.jsonl"
    with CarefulClient(lambda: stack.url, stack.key, log) as client:
        try:
            with fault.stage(scene):
                accepted = _submit_and_strike(client, fault, arrivals, scene)
                accepted = [*scene.beforehand, *accepted]
                _await_ends(stack, accepted, ends_s)
                found = fault.verify(scene, accepted)
        except (AssertionError, TimeoutError) as error:
            return broken_off(name, scene, str(error) or repr(error))
    verdict = judge(name, scene, accepted, fault.expected, _with_requests(found, fault, client))
    return replace(verdict, note="; ".join(filter(None, (*scene.notes, _requests(client)))))


def _with_requests(found: Found, fault: Fault, client: CarefulClient) -> Found:
    failed = set(client.retried) - HARMLESS
    if not fault.expected.unbroken or not failed:
        return found
    return replace(found, complaints=(*found.complaints, f"requests failed: {sorted(failed)}"))


def _requests(client: CarefulClient) -> str:
    counts = (f"{count} {what}" for what, count in sorted(client.retried.items()))
    return f"requests tried again: {', '.join(counts)}" if client.retried else ""


def _submit_and_strike(
    client: CarefulClient, fault: Fault, arrivals: Arrivals, scene: Scene
) -> list[Accepted]:
    """The accepted jobs, once the strike is over and the last of them has come."""
    struck = threading.Event()
    with ThreadPoolExecutor(SUBMITTERS) as hands:
        submissions = _Submissions(client, fault, arrivals, scene, struck)
        shares = [hands.submit(submissions.take_share) for _ in range(SUBMITTERS)]
        with _told(struck):
            enough = max(1, jobs_of(fault, arrivals) // 2)
            eventually(lambda: len(scene.job_ids) >= enough, READY_S)
            fault.strike(scene)
        return _all_of(shares)


def jobs_of(fault: Fault, arrivals: Arrivals) -> int:
    """How many jobs come whether the strike lasts or not."""
    return int(arrivals.jobs * fault.share)


def _all_of(shares: Sequence[Future[list[Accepted]]]) -> list[Accepted]:
    return [one for share in shares for one in share.result()]


@contextmanager
def _told(over: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        over.set()


class _Submissions:
    """What the submitters share: the dice, and which number comes next."""

    def __init__(
        self,
        client: CarefulClient,
        fault: Fault,
        arrivals: Arrivals,
        scene: Scene,
        struck: threading.Event,
    ) -> None:
        self._client = client
        self._fault = fault
        self._arrivals = arrivals
        self._scene = scene
        self._struck = struck
        self._lock = threading.Lock()
        self._jobs = jobs_of(fault, arrivals)
        self._count = 0

    def take_share(self) -> list[Accepted]:
        """Submits at its pace until there is nothing more to submit."""
        accepted = []
        while (drawn := self._draw()) is not None:
            number, latency_s = drawn
            body = self._fault.body(self._scene, number, latency_s)
            one = self._client.submit(body, latency_s)
            self._scene.job_ids.append(one.job_id)
            accepted.append(one)
            self._struck.wait(self._pause_s())
        return accepted

    def _draw(self) -> tuple[int, float] | None:
        with self._lock:
            if self._count >= self._jobs and self._struck.is_set():
                return None
            self._count += 1
            return self._count - 1, round(self._scene.dice.uniform(*self._fault.latency_s), 2)

    def _pause_s(self) -> float:
        first = self._fault.busy or self._count < self._jobs
        return SUBMITTERS * (self._arrivals.every_s if first else self._arrivals.then_every_s)


def _await_ends(stack: Stack, accepted: Sequence[Accepted], ends_s: float) -> None:
    """Until every job has ended or the time is over; the judge then sees which have not."""
    deadline = time.monotonic() + ends_s
    for one in accepted:
        while not _is_over(stack, one.job_id) and time.monotonic() < deadline:
            time.sleep(0.1)


def _is_over(stack: Stack, job_id: str) -> bool:
    """Whether there is nothing to wait for: it has ended, or is not there at all."""
    try:
        answer = stack.http.get(f"/api/jobs/{job_id}")
    except httpx.TransportError:
        return False
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False  # the gateway has not noticed yet that Postgres is back
    return answer.status_code == HTTPStatus.NOT_FOUND or bool(answer.json()["finished_at"])


@contextmanager
def fresh_stack(fault: Fault = PLAIN) -> Iterator[Stack]:
    """A platform in a directory of its own, as the fault needs it, and with a port of its own.

    Clients ask there also while it is without power: another platform that had taken the port would not know their key.
    """
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as directory,
        fault.ground(Path(directory)) if fault.ground else nullcontext() as factory,
        running_stack(
            Path(directory),
            *OPTIONS,
            *("--port", str(_own_port())),
            factory=factory or (FACTORY,),
            **fault.variables,
        ) as stack,
    ):
        yield stack


def _own_port() -> int:
    while not is_free("127.0.0.1", port := next(PORTS)):
        pass
    return port
