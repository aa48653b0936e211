"""Accepting: what a 2xx promises, what a key repeats, what is refused before it costs anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from factory.domain.state import State
from factory.errors import (
    Conflict,
    FactoryError,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidInput,
    NotFound,
)
from factory.kinds.request import JobRequest
from factory.pipeline.accept.accepted import BulkAccepted
from factory.pipeline.accept.bulk import Bulks, Line
from factory.pipeline.accept.control import cancel, retry
from factory.pipeline.accept.submit import idempotency_key, submit
from factory.pipeline.wakeup import WakeUpSender
from factory.store import agents
from factory.store.jobs import JobView
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import OTHER_OWNER, OWNER, ask, given_state, state_of

KEY = idempotency_key("order-7", b"body")


def _jobs(bench: Bench) -> int:
    return len(ask(bench.services, "SELECT FROM jobs"))


def test_a_repeated_key_gives_the_first_job(bench: Bench) -> None:
    assert bench.submit(key=KEY) == bench.submit(key=KEY)
    assert _jobs(bench) == 1
    assert len(ask(bench.services, "SELECT FROM job_requests")) == 1


def test_a_key_with_another_body_is_refused(bench: Bench) -> None:
    bench.submit(key=KEY)
    with pytest.raises(IdempotencyMismatch):
        bench.submit(key=idempotency_key("order-7", b"another body"))
    assert _jobs(bench) == 1


def test_many_at_once_with_one_key_make_one_job(bench: Bench) -> None:
    start = threading.Barrier(4)
    answers: list[UUID | FactoryError] = []

    def work() -> None:
        start.wait(60)
        try:
            answers.append(bench.submit(key=KEY))
        except IdempotencyInFlight as error:
            answers.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len({answer for answer in answers if isinstance(answer, UUID)}) == 1
    assert _jobs(bench) == 1


def test_a_key_with_a_bad_request_stays_free(bench: Bench) -> None:
    with pytest.raises(InvalidInput):
        bench.submit(key=KEY, model="openai/no-such-model")
    assert bench.submit(key=KEY)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t", "nul\x00"])
def test_an_unfit_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        idempotency_key(key, b"")


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"model": "openai/gpt-4"}, None),
        ({"model": "nobody/knows"}, "model"),
        ({"input": "a\x00b"}, "input"),
        ({"input": []}, "input"),
        ({"fallbacks": ["openai/text-embedding-3-small"]}, "fallbacks[0]"),
        ({"webhook": {"url": "http://10.0.0.1/"}}, "webhook.url"),
        ({"model": "openai/unpriced", "max_cost_usd": "1"}, "max_cost_usd"),
        ({"params": {"json_schema": {"type": "no such type"}}}, "params.json_schema"),
        ({"params": {"json_schema": {"patternProperties": {"a": {}}}}}, "params.json_schema"),
        ({"agent": "nobody"}, "agent"),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_written(
    bench: Bench, request_: dict[str, Any], param: str | None
) -> None:
    if param is None:
        bench.submit(**request_)
        return
    with pytest.raises(InvalidInput) as caught:
        bench.submit(**request_)
    assert caught.value.param == param
    assert _jobs(bench) == 0


def test_a_job_of_an_agent_carries_the_version_that_it_was_made_of(bench: Bench) -> None:
    spec = {"name": "writer", "model": "openai/gpt-4o-mini", "system": "Be brief."}
    with bench.services.database.transaction() as tx:
        assert agents.register(tx, "writer", spec, "hash 1") == 1
        assert agents.register(tx, "writer", {**spec, "system": "Be long."}, "hash 2") == 2
    job = bench.view(bench.submit(agent="writer"))
    assert (job.agent, job.agent_version, job.model) == ("writer", 2, "openai/gpt-4o-mini")
    [row] = ask(bench.services, "SELECT input FROM job_requests")
    assert row.input["messages"][0] == {"role": "system", "content": "Be long."}


def test_of_a_bulk_the_good_lines_are_accepted_and_the_bad_are_named(bench: Bench) -> None:
    good = JobRequest.model_validate({"model": "openai/gpt-4o-mini", "input": "Hi."})
    bad = JobRequest.model_validate({"model": "nobody/knows", "input": "Hi."})
    lines = [Line(1, good), Line(2, bad), Line(3, InvalidInput("not JSON")), Line(4, good)]
    bulks = Bulks(bench.intake)
    accepted = bulks.submit(OWNER, lines, key=KEY)
    assert isinstance(accepted, BulkAccepted)
    assert len(accepted.ids) == 2
    assert [one.line for one in accepted.rejected] == [2, 3]
    assert {state_of(bench.services, one) for one in accepted.ids} == {State.QUEUED}
    assert bulks.submit(OWNER, lines, key=KEY) == accepted
    assert _jobs(bench) == 2


CONTROLS: dict[str, tuple[Callable[..., Any], set[State], set[State]]] = {
    "cancel": (cancel, {State.SUCCEEDED, State.FAILED}, {State.CANCELLED}),
    "retry": (retry, set(State) - {State.FAILED}, set()),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_an_owners_wish_is_granted_or_refused_by_the_state(bench: Bench, name: str) -> None:
    control, refused, unchanged = CONTROLS[name]
    for state in State:
        job_id, _ = given_state(bench.services, state)
        if state in refused:
            with pytest.raises(Conflict):
                control(bench.services, OWNER, job_id)
            assert state_of(bench.services, job_id) is state
        else:
            control(bench.services, OWNER, job_id)
            assert (state_of(bench.services, job_id) is state) == (
                state in unchanged or state is State.RUNNING
            )


@pytest.mark.parametrize("control", [cancel, retry])
def test_another_projects_job_is_not_there(bench: Bench, control: Callable[..., Any]) -> None:
    job_id, _ = given_state(bench.services, State.FAILED)
    with pytest.raises(NotFound):
        control(bench.services, OTHER_OWNER, job_id)


def test_jobs_are_accepted_while_redis_is_away(bench: Bench) -> None:
    wake_up = WakeUpSender(Redis.from_url("unix:///nowhere"))
    request = JobRequest.model_validate({"model": "openai/gpt-4o-mini", "input": "Hi."})
    accepted = submit(replace(bench.intake, wake_up=wake_up), OWNER, request)
    assert isinstance(accepted, JobView)
    assert state_of(bench.services, accepted.id) is State.QUEUED
    wake_up.stop()
