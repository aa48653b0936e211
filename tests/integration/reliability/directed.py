"""Short lives of jobs, told step by step: each needs one guard, and is the state machine's own in every step.

What a random search finds, it finds by luck. These are the same rules and the same laws in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from factory.pipeline.dispatch.publish import Message
from factory.services import Services
from tests.integration.reliability.machine import JobsMachine
from tests.integration.reliability.model import Expected, Lease
from tests.integration.store.samples import HOOK

Directed = Callable[["Life"], None]


class Life:
    """A machine whose rules are applied by hand; after each step its invariants are held against it."""

    def __init__(self, services: Services) -> None:
        self.machine = JobsMachine(services)
        self._hints: dict[UUID, Message] = {}
        self.worker()  # hints go out to where somebody serves

    def lead(self, steps: Directed) -> None:
        """To its end: every job that lives can still be brought to an end."""
        steps(self)
        self.machine.teardown()

    def job(
        self, attempts: int = 5, hook: str | None = None, deadline_s: float | None = None
    ) -> UUID:
        """A published job; its hint is remembered, as a broker's that doubles messages."""
        before = set(self.machine.jobs)
        self.machine.submit(0, attempts, hook, deadline_s)
        (job_id,) = set(self.machine.jobs) - before
        self.machine.world.publish()
        self._hints |= {one: hint for hint in self.machine.world.broker for one in hint.job_ids}
        self._hold_laws()
        return job_id

    def worker(self) -> UUID:
        return self.machine.start_worker()

    def claim(self, worker: UUID, job_id: UUID) -> Lease | None:
        """By the first hint of the job, however old."""
        self.machine.world.beat(worker)
        lease = self.machine._claim(worker, self._expected(job_id), self._hints[job_id], False)
        self._hold_laws()
        return lease

    def work(self, lease: Lease | None, act: str) -> None:
        assert lease
        self.step("work", lease=lease, act=act, called=False, alone=False)

    def step(self, rule: str, **choices: Any) -> None:
        """A rule of the machine, by name."""
        getattr(self.machine, rule)(**choices)
        self._hold_laws()

    def die(self, worker: UUID, pause_s: int = 0, *, seen: bool = True) -> None:
        """Its end is seen, or it is silent for a lease; the others go on."""
        pick = self.machine._holders().index(worker)
        self.step("lose_worker", pick=pick, seen=seen, pause_s=pause_s)

    def pass_time(self, event: str | int) -> None:
        self.step("meanwhile", event=event, pick=0)

    def retry(self, job_id: UUID) -> None:
        failed = [job.id for job in self.machine.jobs.values() if job.may_be_retried]
        assert failed == [job_id]
        self.step("wish", pick=0)

    def _expected(self, job_id: UUID) -> Expected:
        return self.machine.jobs[job_id]

    def _hold_laws(self) -> None:
        self.machine.every_job_is_as_expected_and_found_by_whom_it_concerns()


def late_end(life: Life) -> None:
    """A worker that was taken for dead ends the job that another one runs."""
    job, late, next_one = life.job(), life.worker(), life.worker()
    stale = life.claim(late, job)
    life.die(late)
    life.claim(next_one, job)
    life.work(stale, "succeed")


def late_call(life: Life) -> None:
    """It calls once more, for a job that is not its own any longer."""
    job, late, next_one = life.job(), life.worker(), life.worker()
    stale = life.claim(late, job)
    life.die(late)
    life.claim(next_one, job)
    life.work(stale, "open")


def hasty_claim(life: Life) -> None:
    """A doubled hint comes while the job waits for its next attempt."""
    job, worker = life.job(), life.worker()
    life.work(life.claim(worker, job), "retry")
    assert life.claim(worker, job) is None


def poison(life: Life) -> None:
    """Two workers died with it; an old hint of its lane must not bring it to a third."""
    job = life.job()
    for worker in (life.worker(), life.worker()):
        assert life.claim(worker, job)
        life.die(worker)
    life.pass_time(60)
    assert life.claim(life.worker(), job) is None


def known_step(life: Life) -> None:
    """A worker dies with an answer recorded; who goes on must know of it."""
    job, first = life.job(), life.worker()
    life.work(life.claim(first, job), "answer")
    life.die(first)
    assert life.claim(life.worker(), job)


def lost_hint(life: Life) -> None:
    """The broker drops the only one."""
    life.job()
    life.pass_time("drop")


def living_peer(life: Life) -> None:
    """One of two workers falls silent."""
    jobs, silent, alive = [life.job(), life.job()], life.worker(), life.worker()
    for worker, job in zip((silent, alive), jobs, strict=True):
        assert life.claim(worker, job)
    life.die(silent, seen=False)


def pause_of_all(life: Life) -> None:
    """All were away for a minute, and the reaper is the first that is back."""
    jobs, silent, alive = [life.job(), life.job()], life.worker(), life.worker()
    for worker, job in zip((silent, alive), jobs, strict=True):
        assert life.claim(worker, job)
    life.die(silent, pause_s=60, seen=False)


def overdue(life: Life) -> None:
    """A deadline passes while the job waits."""
    life.job(deadline_s=30.0)
    life.pass_time(60)


def open_call(life: Life) -> None:
    """The job has ended while a call of an earlier worker may still be recorded."""
    job, late, next_one = life.job(), life.worker(), life.worker()
    stale = life.claim(late, job)
    life.die(late)
    life.work(life.claim(next_one, job), "succeed")
    life.step("retain", then=None)
    life.work(stale, "answer")


def archived(life: Life) -> None:
    """A job that failed goes to the archive."""
    job = life.job()
    life.work(life.claim(life.worker(), job), "fail")
    life.step("retain", then=None)


def straight(life: Life) -> None:
    """A job succeeds, and so goes to the archive at once."""
    job = life.job()
    life.work(life.claim(life.worker(), job), "succeed")


def late_success(life: Life) -> None:
    """A worker that was taken for dead has its answer, and ends the job that another one goes on with."""
    job, late, next_one = life.job(), life.worker(), life.worker()
    stale = life.claim(late, job)
    life.work(stale, "answer")
    life.die(late)
    life.claim(next_one, job)
    life.work(stale, "succeed")


def archived_step(life: Life) -> None:
    """A job that failed after an answer comes back from the archive."""
    job, worker = life.job(), life.worker()
    lease = life.claim(worker, job)
    life.work(lease, "answer")
    life.work(lease, "fail")
    life.step("retain", then="retry")


def two_lanes(life: Life) -> None:
    """A job and an event wait, each in its lane."""
    first = life.job(hook=HOOK)
    life.work(life.claim(life.worker(), first), "succeed")
    life.job()


def retried(life: Life) -> None:
    """A job that failed is wanted once more."""
    job = life.job()
    life.work(life.claim(life.worker(), job), "fail")
    life.retry(job)
