"""Programs of two versions on one database: what a newer one writes breaks no older one."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from factory.domain.agent import AgentSpec
from factory.domain.message import Message, Params, Role
from factory.domain.state import State
from factory.errors import NewerFormat
from factory.store import agents, codec
from tests.integration.pipeline.bench import OPENAI, Bench
from tests.integration.pipeline.receiver import Receiver
from tests.integration.store.samples import ask, tell

FUTURE = json.dumps({"from_the_future": {"a": [1]}})


def enrich(bench: Bench, column: str, added: str, job_id: UUID) -> None:
    """Adds members to a document of the job, as a newer version would."""
    statement = f"UPDATE job_requests SET {column} = {column} || CAST(%(added)s AS jsonb)"
    tell(bench.services, statement + " WHERE job_id = %(id)s", added=added, id=str(job_id))


@pytest.mark.parametrize("column", ["input", "params"])
def test_a_field_that_is_not_known_breaks_no_job(bench: Bench, column: str) -> None:
    job_id = bench.submit(params={"stop": ["x"]})
    enrich(bench, column, FUTURE, job_id)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED


@pytest.mark.parametrize("column", ["input", "params"])
@pytest.mark.parametrize(
    "request_of", [{}, {"model": "openai/text-embedding-3-small", "input": ["a"]}]
)
def test_a_document_that_must_not_be_misread_is_left_to_a_newer_worker(
    bench: Bench, column: str, request_of: dict[str, Any]
) -> None:
    if request_of and column == "params":
        pytest.skip("embeddings have no params")
    job_id = bench.submit(**request_of)
    enrich(bench, column, '{"v": 2}', job_id)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, 1)
    assert bench.calls(job_id) == 0
    assert bench.wait_s(job_id) > 0
    enrich(bench, column, '{"v": 1}', job_id)
    bench.make_due(job_id)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED


def test_a_role_that_is_not_known_is_left_to_a_newer_worker(bench: Bench) -> None:
    job_id = bench.submit()
    messages = json.dumps({"messages": [{"role": "tool", "content": "5", "call": "a"}]})
    enrich(bench, "input", messages, job_id)
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.view(job_id).attempt) == (State.QUEUED, 0)


def test_a_kind_that_is_not_known_is_not_claimed_and_the_others_are(bench: Bench) -> None:
    strange, known = bench.submit(), bench.submit()
    tell(bench.services, "ALTER TABLE jobs DROP CONSTRAINT ck_jobs_kind")
    tell(bench.services, "UPDATE jobs SET kind = 'dream' WHERE id = %(id)s", id=str(strange))
    bench.execute(strange, known)
    assert bench.view(known).state is State.SUCCEEDED
    assert (bench.view(strange).state, bench.view(strange).attempt) == (State.QUEUED, 0)


@pytest.mark.parametrize(
    "change",
    [
        "jsonb_set(input, '{job}', (input->'job') || '{\"new\": [1]}') || '{\"more\": 1}'",
        "jsonb_set(input, '{job}', (input->'job') - 'deferrals' - 'expired' - 'run_at')",
        "jsonb_set(input, '{job,run_at}', '\"infinity\"')",
    ],
)
def test_an_event_of_another_version_is_delivered(
    bench: Bench, receiver: Receiver, change: str
) -> None:
    job_id = bench.submit(webhook={"url": receiver.url})
    bench.execute(job_id)
    [event] = ask(bench.services, "SELECT id FROM jobs WHERE kind = 'webhook'")
    tell(
        bench.services,
        f"UPDATE job_requests SET input = {change} WHERE job_id = %(id)s",
        id=str(event.id),
    )
    bench.execute(event.id)
    assert bench.view(event.id).state is State.SUCCEEDED


def test_an_agent_of_a_newer_version_can_be_named_and_listed(bench: Bench) -> None:
    spec = {"name": "poet", "model": OPENAI, "tools": [1], "params": {"mood": 1, "seed": 5}}
    with bench.services.database.transaction() as tx:
        agents.register(tx, "poet", spec, "hash")
    job_id = bench.submit(agent="poet")
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED
    assert codec.stored_spec(spec) == AgentSpec("poet", OPENAI, params=spec["params"])


def test_documents_without_a_version_are_of_the_first() -> None:
    assert codec.params_of({"seed": 5, "later": 1}) == Params(seed=5)
    assert codec.params_of({"stop": ["a"], "v": 1}) == Params(stop=("a",))
    assert codec.messages_of({"messages": [{"role": "user", "content": "x", "name": "y"}]}) == [
        Message(Role.USER, "x")
    ]
    assert codec.texts_of({"texts": [["a", "b", "c"]]}) == [("a", "b")]
    for odd in ({"v": 2}, {"v": "x"}, {"v": None}):
        with pytest.raises(NewerFormat):
            codec.params_of(odd)
