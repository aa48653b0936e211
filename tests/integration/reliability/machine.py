"""A random life of jobs: rules are what may happen, invariants what must hold after each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from factory.domain.job import QUARANTINE_DEATHS, Outcome, new_id
from factory.domain.money import Usage
from factory.domain.state import State
from factory.errors import Conflict, NotFound, ProviderRefused, ProviderUnavailable, RateLimited
from factory.pipeline.calls import close_calls, open_calls
from factory.pipeline.control import cancel, retry
from factory.pipeline.dispatch import Message
from factory.pipeline.execute import Claim, claim_jobs
from factory.pipeline.finish import finish_jobs, outcome_of
from factory.services import Services
from factory.store import jobs as stored_jobs
from factory.store.journal import Call, CallEnd
from factory.store.listing import Filter, find
from tests.integration.reliability.model import Expected, Lease
from tests.integration.reliability.world import World
from tests.integration.store.samples import HOOK, OTHER_PROJECT, PROJECT, given_job
from workers.alone import declare_poison

STEP = "answer"
OUTPUT = {"text": "hello"}
ERRORS = {
    "retry": ProviderUnavailable("away", provider="openai"),
    "defer": RateLimited("wait", provider="openai"),
    "fail": ProviderRefused("no", provider="openai"),
}
LONGEST_WAIT_S = 400
"""Longer than any patience with a hint and any pause between attempts."""
ROUNDS = 12


class JobsMachine(RuleBasedStateMachine):
    """Jobs, workers that die and come late, a broker that loses and doubles, clocks that move on."""

    leases = Bundle("leases")
    workers = Bundle("workers")

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.world = World(services)
        self.jobs: dict[UUID, Expected] = {}

    # --- the owner ---------------------------------------------------------------------------

    @rule(
        project=st.sampled_from([PROJECT, OTHER_PROJECT]),
        max_attempts=st.integers(1, 3),
        webhook=st.sampled_from([None, HOOK]),
    )
    def submit(self, project: UUID, max_attempts: int, webhook: str | None) -> None:
        job_id = given_job(
            self.services, project_id=project, max_attempts=max_attempts, webhook_url=webhook
        )
        self.jobs[job_id] = Expected(job_id, project, max_attempts, webhook is not None)

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        job = self._pick(pick)
        if job.state.terminal and job.state is not State.CANCELLED:
            self._refused(cancel, job)
            return
        cancel(self.services, job.project_id, job.id)
        if job.state is State.QUEUED:
            job.ended(State.CANCELLED)
        job.unwanted = True

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 99))
    def retry(self, pick: int) -> None:
        job = self._pick(pick)
        if job.state is not State.FAILED:
            self._refused(retry, job)
            return
        retry(self.services, job.project_id, job.id)
        job.retried()

    # --- the dispatcher and the broker -------------------------------------------------------

    @rule()
    def publish(self) -> None:
        self.world.publish()

    @rule()
    def republish(self) -> None:
        self.world.republish()

    @precondition(lambda self: self.world.broker)
    @rule(pick=st.integers(0, 99))
    def drop_hint(self, pick: int) -> None:
        del self.world.broker[pick % len(self.world.broker)]

    @rule()
    def empty_broker(self) -> None:
        self.world.lose_all_hints()

    @rule(seconds=st.sampled_from([1, 2, 16, 60, 300]))
    def nobody_looks(self, seconds: int) -> None:
        self.world.sleep(seconds)

    @rule(seconds=st.integers(1, 20))
    def reaper_looks(self, seconds: int) -> None:
        for _ in range(seconds):
            self._tick()

    def _tick(self) -> None:
        before = self.world.found()
        self.world.tick()
        after = self.world.found()
        for job in self.jobs.values():
            taken = job.lease and after[job.id].lease_token != before[job.id].lease_token
            if taken:
                silent_s = before[job.id].silent_s
                assert silent_s > self.services.settings.lease_s - 2, (
                    "a live worker's job was taken"
                )
                job.worker_died()

    # --- workers, live and late --------------------------------------------------------------

    @rule(target=workers)
    def start_worker(self) -> UUID:
        return self.world.start_worker()

    @rule(worker=workers)
    def beat(self, worker: UUID) -> None:
        unwanted = set(self.world.beat(worker))
        held = {job.id for job in self.jobs.values() if job.lease and job.lease.worker_id == worker}
        assert unwanted == {job_id for job_id in held if self.jobs[job_id].unwanted}

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
        message = self.world.broker[pick % len(self.world.broker)]
        if not doubled:
            self.world.broker.remove(message)
        taken = [
            self._claim(worker, self.jobs[job_id], message, unheard)
            for job_id in message.job_ids
            if job_id in self.jobs
        ]
        return multiple(*(lease for lease in taken if lease))

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

    @rule(lease=leases)
    def open_call(self, lease: Lease) -> None:
        if lease.answered or lease.call_id:
            return
        job, call_id = self.jobs[lease.job.id], new_id()
        call = Call(
            call_id, job.id, lease.job.lease_token, job.project_id, STEP, lease.job.attempt,
            "openai", "gpt-4o-mini",
        )  # fmt: skip
        for _ in range(2):  # as after a commit whose answer was lost
            assert self.world.write(open_calls, call) == job.holds(lease)
        if job.holds(lease):
            assert not job.step_done, "a finished step is called again"
            lease.call_id = call_id
            job.calls.append(call_id)

    @rule(lease=leases, error=st.sampled_from([None, "provider_unavailable"]))
    def close_call(self, lease: Lease, error: str | None) -> None:
        """Also by a worker that lost its lease long ago: it paid."""
        if not lease.call_id:
            return
        job = self.jobs[lease.job.id]
        end = CallEnd(
            lease.call_id, job.id, STEP, "openai", "gpt-4o-mini", Usage(1, 1, 0), 1, 5,
            error_type=error, output=None if error else OUTPUT,
        )  # fmt: skip
        for _ in range(2):
            self.world.write(close_calls, end)
        lease.call_id = None
        if error is None:
            lease.answered = job.step_done = True

    @rule(lease=leases, how=st.sampled_from(["succeed", *ERRORS]))
    def finish(self, lease: Lease, how: str) -> None:
        if lease.call_id or (how == "succeed" and not lease.answered):
            return
        job, holds = self.jobs[lease.job.id], self.jobs[lease.job.id].holds(lease)
        outcome = self._outcome(lease, how)
        state = self.world.write(finish_jobs, outcome)
        assert (state is not None) == holds
        assert self.world.write(finish_jobs, outcome) is None
        if holds and outcome.state is State.QUEUED:
            job.put_back(spends_attempt=outcome.spends_attempt)
        elif holds:
            job.ended(outcome.state)
        assert state in (None, job.state)

    def _outcome(self, lease: Lease, how: str) -> Outcome:
        job = replace(lease.job, attempt=lease.job.attempt)
        if how == "succeed":
            return Outcome(job.id, job.lease_token, State.SUCCEEDED, output=OUTPUT)
        return outcome_of(job, ERRORS[how])

    @rule(lease=leases)
    def die_alone(self, lease: Lease) -> None:
        """The process of a job in quarantine ends, and its parent says so."""
        if not lease.alone:
            return
        held = [
            one
            for one in self.jobs.values()
            if one.lease and one.lease.worker_id == lease.worker_id
        ]
        self.world.write(declare_poison, lease.worker_id)
        for job in held:
            job.poisoned()

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def every_job_is_as_expected(self) -> None:
        found = self.world.found()
        for job in self.jobs.values():
            row = found[job.id]
            assert State(row.state) is job.state
            assert (row.attempt, row.deferrals, row.deaths) == (
                job.attempt,
                job.deferrals,
                job.deaths,
            )
            assert row.attempt <= row.max_attempts
            assert row.lease_token == (job.lease.job.lease_token if job.lease else None)
            assert row.results == job.state.terminal
            assert row.outputs == (job.state is State.SUCCEEDED)
            assert row.events == job.events
            assert row.steps == job.step_done
            assert row.calls == len(job.calls)

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
        worker = self.world.start_worker()
        for _ in range(ROUNDS):
            if all(job.state.terminal for job in self.jobs.values()):
                return
            self._round(worker)
        left = [job for job in self.jobs.values() if not job.state.terminal]
        raise AssertionError(f"unreachable: {left}")

    def _round(self, worker: UUID) -> None:
        self.world.sleep(LONGEST_WAIT_S)
        for _ in range(int(self.services.settings.lease_s) + 2):
            self._tick()
        self.world.beat(worker)
        self.world.republish()
        self.world.publish()
        while self.world.broker:
            message = self.world.broker.pop()
            for job in [self.jobs[one] for one in message.job_ids if one in self.jobs]:
                lease = self._claim(worker, job, message, unheard=False)
                if lease:
                    self._succeed(lease)

    def _succeed(self, lease: Lease) -> None:
        self.world.write(finish_jobs, self._outcome(lease, "succeed"))
        self.jobs[lease.job.id].ended(State.SUCCEEDED)

    def _pick(self, pick: int) -> Expected:
        return list(self.jobs.values())[pick % len(self.jobs)]

    def _refused(self, control: Any, job: Expected) -> None:
        try:
            control(self.services, job.project_id, job.id)
        except (Conflict, NotFound):
            return
        raise AssertionError(f"{control.__name__} was granted to a job that is {job.state}")
