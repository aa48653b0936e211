"""How long jobs wait for a provider that is busy, and when they stop waiting."""

from __future__ import annotations

from uuid import UUID

import pytest

from factory.domain.state import State
from factory.pipeline.accept.control import retry
from tests.integration.pipeline.bench import Bench, script
from tests.integration.store.samples import OWNER, ask, tell

LIMITED = script("status=429 retry_after=0")


def _run_again(bench: Bench, job_id: UUID) -> float:
    """The seconds that the job then waits."""
    bench.make_due(job_id)
    bench.execute(job_id)
    return bench.wait_s(job_id)


def _has_waited(bench: Bench, job_id: UUID, hours: int) -> None:
    statement = """UPDATE jobs SET run_at = now(), deferred_since = now() - make_interval(hours => %(hours)s)
                    WHERE id = %(id)s"""
    tell(bench.services, statement, id=str(job_id), hours=hours)


def _waits_since(bench: Bench, job_id: UUID) -> object:
    [row] = ask(bench.services, "SELECT deferred_since FROM jobs WHERE id = %(id)s", id=str(job_id))
    return row.deferred_since


def test_a_429_that_names_no_time_to_wait_waits_longer_each_time(bench: Bench) -> None:
    job_id = bench.submit(input=LIMITED)
    waits_s = [_run_again(bench, job_id) for _ in range(6)]
    assert waits_s[0] > 0.1
    assert waits_s[5] > 6.0


@pytest.mark.parametrize("status", [503, 500])
def test_the_wait_that_a_provider_names_is_kept_with_other_errors_too(
    bench: Bench, status: int
) -> None:
    job_id = bench.submit(input=script(f"status={status} retry_after=40"))
    assert 35 < _run_again(bench, job_id) <= 50


def test_a_job_gives_up_once_it_has_met_rate_limits_for_a_day(bench: Bench) -> None:
    job_id = bench.submit(input=LIMITED)
    bench.execute(job_id)
    _has_waited(bench, job_id, hours=23)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.QUEUED
    _has_waited(bench, job_id, hours=24)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["type"] == "rate_limited"
    assert "24 hours" in job.error["message"]


def test_the_time_counts_from_the_first_of_the_waits_in_a_row(bench: Bench) -> None:
    job_id = bench.submit(input=LIMITED)
    bench.execute(job_id)
    first = _waits_since(bench, job_id)
    _run_again(bench, job_id)
    assert first is not None
    assert _waits_since(bench, job_id) == first
    bench.simulator.replace_scripts({"openai": "status=500"})
    tell(bench.services, "UPDATE job_requests SET input = %(input)s WHERE job_id = %(id)s",
         id=str(job_id), input='{"messages": [{"role": "user", "content": "Hello."}]}')  # fmt: skip
    _run_again(bench, job_id)
    assert _waits_since(bench, job_id) is None


def test_an_owners_retry_may_wait_anew(bench: Bench) -> None:
    job_id = bench.submit(input=LIMITED)
    bench.execute(job_id)
    _has_waited(bench, job_id, hours=25)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.FAILED
    retry(bench.services, OWNER, job_id)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.QUEUED
