"""A random life of jobs: rules are what may happen, invariants what must hold after each of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from factory.domain.principal import Principal
from factory.domain.state import State
from factory.errors import Conflict, Gone, NotFound
from factory.pipeline.accept.control import cancel, retry
from factory.services import Services
from tests.integration.reliability.crew import FEW, RARE, CrewRules
from tests.integration.reliability.laws import Owner, dispatchable, given_owner, seen_with
from tests.integration.reliability.model import Expected
from tests.integration.store.samples import HOOK, given_job

LONGEST_WAIT_S = 400
"""Longer than any patience with a hint and any pause between attempts."""
ROUNDS = 12


class JobsMachine(CrewRules):
    """Jobs, workers that die and come late, a broker that loses and doubles, clocks that move on."""

    workers = CrewRules.workers

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.owners = [given_owner(services, name) for name in ("one", "two")]
        self.cancels = 0
        """No more than a few: otherwise most jobs end by one, as hypothesis likes to repeat itself."""

    # --- the owner ---------------------------------------------------------------------------

    @initialize(target=workers)
    def begin(self) -> Any:
        for webhook in (None, HOOK):
            self.submit(0, 3, webhook, None)
            self.submit(1, 1, webhook, None)
        crew = [self.start_worker() for _ in range(2)]
        self.world.publish()
        return multiple(*crew)

    @precondition(lambda self: sum(not job.state.terminal for job in self.jobs.values()) < FEW)
    @rule(
        owner=st.integers(0, 1),
        max_attempts=st.sampled_from([1, 3, 5]),
        webhook=st.sampled_from([None, HOOK]),
        deadline_s=st.sampled_from([None, None, 30.0, 400.0]),
    )
    def submit_job(
        self, owner: int, max_attempts: int, webhook: str | None, deadline_s: float | None
    ) -> None:
        self.submit(owner, max_attempts, webhook, deadline_s)
        self.world.publish()

    def submit(
        self, owner: int, max_attempts: int, webhook: str | None, deadline_s: float | None
    ) -> None:
        project_id = self.owners[owner].project_id
        job_id = given_job(
            self.services,
            project_id=project_id,
            max_attempts=max_attempts,
            webhook_url=webhook,
            deadline_s=deadline_s,
        )
        self.world.rank[job_id] = len(self.jobs)
        self.jobs[job_id] = Expected(job_id, project_id, max_attempts, webhook is not None)

    @rule(pick=st.integers(0, 99))
    def wish(self, pick: int) -> None:
        wish = cancel if pick % 5 == RARE and self.cancels < FEW else retry
        job = self._pick(pick, prefers_failed=wish is retry)
        for owner in self.owners:
            if owner.project_id != job.project_id:
                with pytest.raises(NotFound):
                    wish(self.services, _who(owner.project_id), job.id)
        granted = job.may_be_cancelled if wish is cancel else job.may_be_retried
        if not granted:
            with pytest.raises((Conflict, Gone)):
                wish(self.services, _who(job.project_id), job.id)
            return
        wish(self.services, _who(job.project_id), job.id)
        if wish is retry:
            job.retried()
            self.world.publish()
            return
        self.cancels += 1
        job.cancelled()
        if job.lease:
            assert job.id in self.world.beat(job.lease.worker_id), "its worker is not told"

    # --- the dispatcher, the broker and time -------------------------------------------------

    @rule(
        event=st.sampled_from(["publish", "republish", "drop", "empty", 1, 60, 300]),
        pick=st.integers(0, 99),
    )
    def meanwhile(self, event: str | int, pick: int) -> None:
        """Something happens to the hints, or so many seconds pass and nobody looks but for what is overdue."""
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
                self._end_overdue()
                self.world.publish()

    def _end_overdue(self) -> None:
        before = self.world.found()
        self.world.end_overdue()
        after = self.world.found()
        for job in self.jobs.values():
            if job.state is State.QUEUED and after[job.id].state == State.FAILED:
                assert after[job.id].overdue
                job.ended(State.FAILED)
            elif job.state is State.QUEUED:
                assert not before[job.id].overdue, "a deadline has passed unnoticed"

    @precondition(lambda self: any(job.state.terminal for job in self.jobs.values()))
    @rule(then=st.sampled_from(["retry", "retry", "expire", None]))
    def retain(self, then: str | None) -> None:
        """What has ended goes to the archive, but for a job whose call may still end.

        Then its content goes, or an owner wants a job back.
        """
        found = self.world.found()
        self.world.archive()
        for job in self.jobs.values():
            if job.state.terminal and not job.archived and not found[job.id].open_calls:
                job.archived = True
        if then == "expire":
            self.world.expire()
            for job in self.jobs.values():
                job.expired = job.archived
        for job in self.jobs.values():
            if then == "retry" and job.archived and job.may_be_retried:
                retry(self.services, _who(job.project_id), job.id)
                job.retried()

    @precondition(lambda self: self._holders())
    @rule(pick=st.integers(0, 99), seen=st.booleans(), pause_s=st.sampled_from([0, 60]))
    def lose_worker(self, pick: int, seen: bool, pause_s: int) -> None:
        """One that holds jobs falls silent for a lease, or its end is seen; the others go on.

        Perhaps all had a pause before, as when Postgres was away: then the reaper is the first that is back.
        """
        holders = self._holders()
        worker = holders[pick % len(holders)]
        if pause_s:
            self.world.sleep(pause_s)
            self._end_overdue()
        if seen:
            self.world.mark_dead(worker)
        self._look(set(self.crew) - {worker}, seconds=1 if seen else self._silence_s)
        assert not self._held_by(worker), "its jobs wait for it"

    def _holders(self) -> list[UUID]:
        holders = {job.lease.worker_id for job in self.jobs.values() if job.lease}
        return [worker for worker in self.crew if worker in holders]

    @property
    def _silence_s(self) -> int:
        """Until silent workers are lost, and a hold of the reaper's own is over."""
        return 2 * int(self.services.settings.lease_s) + 2

    def _look(self, beating: set[UUID], seconds: int) -> None:
        """The reaper looks once a second."""
        before = self.world.found()
        for _ in range(seconds):
            self.world.tick(beating)
        after = self.world.found()
        for job in self.jobs.values():
            if job.lease and after[job.id].lease_token != before[job.id].lease_token:
                assert job.lease.worker_id not in beating, "a live worker's job was taken"
                job.worker_died()
        self.world.publish()

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def every_job_is_as_expected_and_found_by_whom_it_concerns(self) -> None:
        found = self.world.found()
        for job in self.jobs.values():
            job.check(found[job.id])
        for owner in self.owners:
            self._check_view(owner)
        queued = {row.id for row in found.values() if row.state == State.QUEUED}
        assert dispatchable(self.services) == queued

    def _check_view(self, owner: Owner) -> None:
        """The key shows all jobs of its project, each once, and no others."""
        own = {job.id: job for job in self.jobs.values() if job.project_id == owner.project_id}
        seen = seen_with(self.services, owner.key, self.jobs.keys())
        assert sorted(job.id for job in seen) == sorted(own)
        for job in seen:
            assert (job.state, job.expired) == (own[job.id].state, own[job.id].expired)

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
        self._end_overdue()
        self._look({worker}, self._silence_s)
        self.world.republish()
        self.world.publish()
        while self.world.broker:
            message = self.world.broker.pop()
            for job in [self.jobs[one] for one in message.job_ids if one in self.jobs]:
                lease = self._claim(worker, job, message, unheard=False)
                if lease:
                    self._finish(lease, "succeed")

    def _pick(self, pick: int, *, prefers_failed: bool) -> Expected:
        """Few jobs fail, and those have the longest lives."""
        failed = [job for job in self.jobs.values() if job.may_be_retried]
        chosen = (
            failed if failed and prefers_failed and pick % 7 != RARE else list(self.jobs.values())
        )
        return chosen[pick % len(chosen)]


def _who(project_id: UUID) -> Principal:
    return Principal(frozenset({project_id}), "key:test")
