"""A random life of jobs: rules are what may happen, invariants what must hold after each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from factory.domain.job import QUARANTINE_DEATHS, new_id
from factory.domain.state import State
from factory.errors import Conflict
from factory.pipeline.calls import close_calls, open_calls
from factory.pipeline.control import cancel, retry
from factory.pipeline.dispatch import Message
from factory.pipeline.execute import Claim, claim_jobs
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from factory.store import jobs as stored_jobs
from factory.store.listing import Filter, find
from tests.integration.reliability.attempt import ERRORS, STEP, end_of, intent, outcome
from tests.integration.reliability.model import Expected, Lease
from tests.integration.reliability.world import World
from tests.integration.store.samples import HOOK, OTHER_PROJECT, PROJECT, given_job
from workers.alone import declare_poison

LONGEST_WAIT_S = 400
"""Longer than any patience with a hint and any pause between attempts."""
ROUNDS = 12
FEW = 4
"""So few jobs live at a time that one of them has a long life."""


class JobsMachine(RuleBasedStateMachine):
    """Jobs, workers that die and come late, a broker that loses and doubles, clocks that move on."""

    leases = Bundle("leases")
    workers = Bundle("workers")

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.world = World(services)
        self.jobs: dict[UUID, Expected] = {}
        self.crew: set[UUID] = set()

    # --- the owner ---------------------------------------------------------------------------

    @initialize(target=workers)
    def begin(self) -> Any:
        for webhook in (None, HOOK):
            self.submit(PROJECT, 3, webhook)
        crew = [self.start_worker() for _ in range(2)]
        self.world.publish()
        return multiple(*crew)

    @precondition(lambda self: sum(not job.state.terminal for job in self.jobs.values()) < FEW)
    @rule(
        project=st.sampled_from([PROJECT, OTHER_PROJECT]),
        max_attempts=st.sampled_from([1, 3, 5]),
        webhook=st.sampled_from([None, HOOK]),
    )
    def submit_job(self, project: UUID, max_attempts: int, webhook: str | None) -> None:
        self.submit(project, max_attempts, webhook)
        self.world.publish()

    def submit(self, project: UUID, max_attempts: int, webhook: str | None) -> None:
        job_id = given_job(
            self.services, project_id=project, max_attempts=max_attempts, webhook_url=webhook
        )
        self.jobs[job_id] = Expected(job_id, project, max_attempts, webhook is not None)

    @rule(pick=st.integers(0, 99), wish=st.sampled_from([retry, retry, cancel]))
    def wish(self, pick: int, wish: Callable[..., Any]) -> None:
        job = self._pick(pick)
        granted = job.may_be_cancelled if wish is cancel else job.state is State.FAILED
        if not granted:
            with pytest.raises(Conflict):
                wish(self.services, job.project_id, job.id)
            return
        wish(self.services, job.project_id, job.id)
        if wish is retry:
            job.retried()
            self.world.publish()
            return
        job.cancelled()
        if job.lease:
            assert job.id in self.world.beat(job.lease.worker_id), "its worker is not told"

    # --- the dispatcher, the broker and time -------------------------------------------------

    @rule(
        event=st.sampled_from(["publish", "republish", "drop", "empty", 1, 60, 300]),
        pick=st.integers(0, 99),
    )
    def meanwhile(self, event: str | int, pick: int) -> None:
        """Something happens to the hints, or so many seconds pass and nobody looks."""
        match event:
            case "publish":
                self.world.publish()
            case "republish":
                self.world.republish()
            case "drop":
                self.world.drop_hint(pick)
            case "empty":
                self.world.lose_all_hints()
            case int(seconds):
                self.world.sleep(seconds)
                self.world.publish()

    @rule(worker=workers)
    def lose_worker(self, worker: UUID) -> None:
        """One that holds jobs falls silent for a lease, the others go on."""
        if self._held_by(worker):
            self._look(self.crew - {worker})

    def _look(self, beating: set[UUID]) -> None:
        """The reaper looks once a second, until silent workers are lost and a hold of its own is over."""
        seconds = 2 * int(self.services.settings.lease_s) + 2
        before = self.world.found()
        for _ in range(seconds):
            self.world.tick(beating)
        after = self.world.found()
        for job in self.jobs.values():
            if job.lease and after[job.id].lease_token != before[job.id].lease_token:
                assert job.lease.worker_id not in beating, "a live worker's job was taken"
                job.worker_died()
        self.world.publish()

    # --- workers, live and late --------------------------------------------------------------

    @precondition(lambda self: len(self.crew) < FEW)
    @rule(target=workers)
    def another_worker(self) -> UUID:
        return self.start_worker()

    def start_worker(self) -> UUID:
        worker = self.world.start_worker()
        self.crew.add(worker)
        return worker

    @precondition(lambda self: self.world.broker)
    @rule(
        target=leases,
        worker=workers,
        pick=st.integers(0, 99),
        doubled=st.booleans(),
        unheard=st.booleans(),
    )
    def claim(self, worker: UUID, pick: int, doubled: bool, unheard: bool) -> Any:
        """`doubled`: the hint stays in the broker. `unheard`: the first commit's answer was lost."""
        self.world.beat(worker)  # one that was silent is awake again
        message = self._hint(pick)
        if not doubled:
            self.world.broker.remove(message)
        taken = [
            self._claim(worker, self.jobs[job_id], message, unheard)
            for job_id in message.job_ids
            if job_id in self.jobs
        ]
        return multiple(*(lease for lease in taken if lease))

    def _hint(self, pick: int) -> Message:
        """Mostly one of a job that waits; a random choice would be stale most of the time."""
        fresh = [
            message
            for message in self.world.broker
            if any(
                one in self.jobs and self.jobs[one].state is State.QUEUED for one in message.job_ids
            )
        ]
        chosen = fresh if fresh and pick % 5 else self.world.broker
        return chosen[pick % len(chosen)]

    def _claim(self, worker: UUID, job: Expected, message: Message, unheard: bool) -> Lease | None:
        if job.lease and job.lease.worker_id == worker:
            return None  # a worker asks only for jobs that it does not know to hold
        found = self.world.found()[job.id]
        in_time = job.attempt < job.max_attempts and found.due
        fit = job.deaths < QUARANTINE_DEATHS or message.alone
        claimed = self.world.write(claim_jobs, Claim(worker, job.id, message.alone))
        assert (claimed is not None) == (job.state is State.QUEUED and in_time and fit)
        if claimed and unheard:
            claimed = self.world.write(claim_jobs, Claim(worker, job.id, message.alone))
            assert claimed is not None
        if claimed is None:
            return None
        assert (STEP in claimed.steps) == job.step_done, "a finished step would be called again"
        lease = Lease(worker, claimed, message.alone, answered=job.step_done)
        job.claimed(lease)
        assert claimed.attempt == job.attempt
        return lease

    @rule(
        lease=leases,
        act=st.sampled_from(["open", "answer", "error", "succeed", "die", *ERRORS]),
        called=st.booleans(),
    )
    def work(self, lease: Lease, act: str, called: bool) -> None:
        """Any worker goes on with what it believes to hold, however late. `called`: it calls before."""
        if called and act in ERRORS:
            self._close_call(lease, None)
        match act:
            case "open":
                self._open_call(lease)
            case "answer" | "error":
                self._close_call(lease, None if act == "answer" else "provider_unavailable")
            case "die":
                self._die_alone(lease)
            case _:
                self._finish(lease, act)

    def _open_call(self, lease: Lease) -> None:
        if lease.answered or lease.call_id:
            return
        job, call_id = self.jobs[lease.job.id], new_id()
        for _ in range(2):  # as after a commit whose answer was lost
            assert self.world.write(open_calls, intent(lease, call_id)) == job.holds(lease)
        if job.holds(lease):
            assert not job.step_done, "a finished step is called again"
            lease.call_id = call_id
            job.calls += 1

    def _close_call(self, lease: Lease, error: str | None) -> None:
        """Also by a worker that lost its lease long ago: it paid."""
        self._open_call(lease)
        if not lease.call_id:
            return
        for _ in range(2):
            self.world.write(close_calls, end_of(lease, error))
        lease.call_id = None
        if error is None:
            lease.answered = self.jobs[lease.job.id].step_done = True

    def _finish(self, lease: Lease, how: str) -> None:
        if lease.call_id or how == "succeed":
            self._close_call(lease, None)
        job = self.jobs[lease.job.id]
        holds, wanted = job.holds(lease), outcome(lease, how)
        state = self.world.write(finish_jobs, wanted)
        assert (state is not None) == holds
        assert self.world.write(finish_jobs, wanted) is None
        if holds and wanted.state is State.QUEUED:
            job.put_back(spends_attempt=wanted.spends_attempt)
        elif holds:
            job.ended(wanted.state)
        assert state in (None, job.state)

    def _die_alone(self, lease: Lease) -> None:
        """The process of a job in quarantine ends, and its parent says so."""
        if lease.alone:
            held = self._held_by(lease.worker_id)
            self.world.write(declare_poison, lease.worker_id)
            for job in held:
                job.poisoned()

    def _held_by(self, worker: UUID) -> list[Expected]:
        return [job for job in self.jobs.values() if job.lease and job.lease.worker_id == worker]

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def every_job_is_as_expected(self) -> None:
        found = self.world.found()
        for job in self.jobs.values():
            job.check(found[job.id])

    @invariant()
    def nobody_sees_anothers_jobs(self) -> None:
        for project in (PROJECT, OTHER_PROJECT):
            own = {job.id for job in self.jobs.values() if job.project_id == project}
            with self.services.database.transaction() as tx:
                listed = {job.id for job in find(tx, project, Filter(), limit=1000, after=None)}
                foreign = [
                    stored_jobs.get(tx, project, one) for one in list(self.jobs.keys() - own)[:3]
                ]
            assert listed == own
            assert not any(foreign)

    def teardown(self) -> None:
        """Every job that lives can still be brought to an end, by dispatch and rescue alone."""
        if not self.jobs:
            return
        worker = self.start_worker()
        for _ in range(ROUNDS):
            if all(job.state.terminal for job in self.jobs.values()):
                return
            self._round(worker)
        left = [job for job in self.jobs.values() if not job.state.terminal]
        raise AssertionError(f"unreachable: {left}")

    def _round(self, worker: UUID) -> None:
        self.world.sleep(LONGEST_WAIT_S)
        self._look(beating={worker})
        self.world.republish()
        self.world.publish()
        while self.world.broker:
            message = self.world.broker.pop()
            for job in [self.jobs[one] for one in message.job_ids if one in self.jobs]:
                lease = self._claim(worker, job, message, unheard=False)
                if lease:
                    self._finish(lease, "succeed")

    def _pick(self, pick: int) -> Expected:
        return list(self.jobs.values())[pick % len(self.jobs)]
