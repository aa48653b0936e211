"""Texts to vectors and back: stored once, found by meaning, by their own project alone."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import psutil

from factory.domain.job import new_id
from factory.domain.state import State
from factory.kinds.search.prepare import prepare
from factory.pipeline.accept.control import retry
from factory.pipeline.run.execute import execute
from factory.store import chunks, jobs
from factory.store.archive import EVERY_CALL
from factory.store.chunks import NewChunk
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import OTHER_PROJECT, OWNER, PROJECT, ask, tell

LOCAL = "local/all-minilm-l6-v2"
SMALL = "openai/text-embedding-3-small"
TEXTS = [
    {"source": "cats", "text": "The cat sleeps on the warm sofa."},
    {"source": "money", "text": "The central bank raised interest rates again."},
    {"source": "code", "text": "A compiler translates source code into machine code."},
]


def _query(
    bench: Bench, query: str, model: str = LOCAL, project: UUID = PROJECT
) -> list[dict[str, object]]:
    """The hits of a search job, run by a worker of the bench."""
    job_id = _given_search(bench, query, model, project)
    bench.execute(job_id)
    return _hits(bench, project, job_id)


def _given_search(bench: Bench, query: str, model: str, project: UUID) -> UUID:
    job = prepare(bench.catalog, project, query=query, model=model, limit=2, deadline_s=None)
    with bench.services.database.transaction() as tx:
        jobs.insert(tx, [job])
    return job.id


def _hits(bench: Bench, project: UUID, job_id: UUID) -> list[dict[str, object]]:
    with bench.services.database.transaction() as tx:
        found = jobs.get(tx, project, job_id)
    assert found is not None
    assert found.state is State.SUCCEEDED, found.error
    hits: list[dict[str, object]] = found.output["hits"]
    return hits


def test_what_was_embedded_is_found_by_meaning_with_its_place(bench: Bench) -> None:
    job = bench.finished(model=LOCAL, input=TEXTS)
    assert (job.state, job.kind, job.cost_micros) == (State.SUCCEEDED, "embedding", 0)
    assert job.input_tokens > 0
    assert job.output == {
        "model": LOCAL,
        "dimensions": 384,
        "chunks": 3,
        "sources": {"cats": 1, "money": 1, "code": 1},
    }
    first, *_ = _query(bench, "What does the kitten do?")
    assert first["source"] == "cats"
    assert first["content"] == TEXTS[0]["text"]
    assert (first["start_offset"], first["end_offset"]) == (0, len(TEXTS[0]["text"]))


def test_another_project_finds_nothing(bench: Bench) -> None:
    bench.finished(model=LOCAL, input=TEXTS)
    assert _query(bench, "What does the kitten do?", project=OTHER_PROJECT) == []


LONG_TEXT = " ".join(
    f"Paragraph {n} tells how the lease of a job is renewed.\n\n" for n in range(2400)
)
"""130 KB: ten seconds of a core."""


def test_six_long_jobs_keep_no_other_projects_searches_waiting(bench: Bench) -> None:
    """With one thread for all they did for 40 s. Nor do they keep texts for another model from being cut."""
    given = bench.submit(model=LOCAL, input=TEXTS)
    long = [bench.submit(model=LOCAL, input=LONG_TEXT, priority="bulk") for _ in range(6)]
    hosted = bench.submit(model=SMALL, input=LONG_TEXT)
    searches = [_given_search(bench, "a cat", LOCAL, OTHER_PROJECT) for _ in range(3)]
    worker = bench.worker()

    async def work() -> None:
        await execute(worker, [given])
        running = asyncio.ensure_future(execute(worker, long))
        await until(lambda: len(worker.means.local.pids) == 2)
        for search_id in searches:
            await execute(worker, [search_id])
        await execute(worker, [hosted])
        assert not any(bench.view(job_id).state.terminal for job_id in long)
        cancelled_at = time.monotonic()
        for job_id in long:
            worker.cancel(job_id)
        await running
        assert time.monotonic() - cancelled_at < 40

    bench.run(work())
    ended = [bench.view(job_id) for job_id in long]
    assert [(job.state, job.unknown_calls) for job in ended] == [(State.CANCELLED, 0)] * 6
    assert bench.view(hosted).state is State.SUCCEEDED
    assert [_hits(bench, OTHER_PROJECT, one) for one in searches] == [[]] * 3


def test_a_job_whose_model_is_killed_is_tried_again(bench: Bench) -> None:
    first, job_id = (bench.submit(model=LOCAL, input=text) for text in (TEXTS, LONG_TEXT))
    worker = bench.worker()

    async def work() -> None:
        await execute(worker, [first])
        model = psutil.Process(worker.means.local.pids[0])
        at_rest_s = model.cpu_times().user
        running = asyncio.ensure_future(execute(worker, [job_id]))
        # At work on the second job: one that dies while it starts is only started again.
        await until(lambda: model.cpu_times().user > at_rest_s + 0.1)
        model.kill()
        await running

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.attempt) == (State.QUEUED, 1)
    [call] = ask(
        bench.services,
        "SELECT error_type, cost_micros FROM llm_calls WHERE job_id = %(job)s",
        job=job_id,
    )
    assert (call.error_type, call.cost_micros) == ("work_lost", 0)


def test_a_hosted_model_embeds_for_a_known_cost(bench: Bench) -> None:
    job = bench.finished(model=SMALL, input=["one text", "another text"])
    assert (job.state, job.output["chunks"], bench.calls(job.id)) == (State.SUCCEEDED, 2, 1)
    assert job.cost_micros is not None
    assert job.unknown_calls == 0
    assert len(_query(bench, "one text", SMALL)) == 2


def test_an_embedding_that_is_run_again_is_neither_paid_nor_stored_twice(bench: Bench) -> None:
    job_id = bench.submit(model=SMALL, input=TEXTS)
    tell(bench.services, "ALTER TABLE job_contents ADD CHECK (output IS NULL)")
    bench.execute(job_id)
    assert bench.view(job_id).state is State.FAILED
    tell(bench.services, "ALTER TABLE job_contents DROP CONSTRAINT job_contents_output_check")
    retry(bench.services, OWNER, job_id)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id)) == (State.SUCCEEDED, 1)
    assert job.output == {
        "model": SMALL,
        "dimensions": 1536,
        "chunks": 3,
        "sources": {"cats": 1, "money": 1, "code": 1},
    }
    assert len(ask(bench.services, "SELECT FROM embeddings")) == 3


GEMINI = "gemini/gemini-embedding-001"
STEPS = f"""
SELECT step_key FROM {EVERY_CALL} c WHERE job_id = %(id)s AND status = 'succeeded' ORDER BY id
"""


def _steps(bench: Bench, job_id: UUID) -> list[str]:
    return [row.step_key for row in ask(bench.services, STEPS, id=str(job_id))]


def test_more_texts_than_a_call_takes_are_several_calls(bench: Bench) -> None:
    job = bench.finished(model=GEMINI, input=[f"Text number {n}." for n in range(250)])
    assert (job.state, job.output["chunks"]) == (State.SUCCEEDED, 250)
    assert _steps(bench, job.id) == ["embed", "embed:1", "embed:2"]
    [spent] = ask(
        bench.services,
        "SELECT sum(input_tokens)::int AS tokens, sum(cost_micros)::int AS cost"
        f" FROM {EVERY_CALL} c",
    )
    assert (job.input_tokens, job.cost_micros) == (spent.tokens, spent.cost)
    assert job.unknown_calls == 0
    assert len(ask(bench.services, "SELECT DISTINCT ordinal FROM chunks")) == 250


def test_more_tokens_than_a_call_takes_are_several_calls(bench: Bench) -> None:
    job = bench.finished(model=SMALL, input=["汉" * 300_000])
    assert (job.state, job.output["chunks"]) == (State.SUCCEEDED, 1500)
    assert bench.calls(job.id) > 1


def test_an_attempt_calls_only_for_what_the_one_before_did_not_get(bench: Bench) -> None:
    texts = [f"Text number {n}." for n in range(250)]
    texts[120] += "{{simulate status=503 times=1}}"
    job_id = bench.submit(model=GEMINI, input=texts)
    bench.execute(job_id)
    assert (bench.view(job_id).state, _steps(bench, job_id)) == (State.QUEUED, ["embed"])
    bench.make_due(job_id)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, job.output["chunks"]) == (State.SUCCEEDED, 250)
    assert _steps(bench, job_id) == ["embed", "embed:1", "embed:2"]
    assert bench.calls(job_id) == 4


def test_a_crash_after_the_vectors_were_stored_pays_for_none_again(bench: Bench) -> None:
    job_id = bench.submit(model=GEMINI, input=[f"Text number {n}." for n in range(250)])
    tell(bench.services, "ALTER TABLE job_steps ADD CHECK (step_key <> 'embed:1')")
    bench.execute(job_id)
    assert bench.view(job_id).state is State.QUEUED
    tell(bench.services, "ALTER TABLE job_steps DROP CONSTRAINT job_steps_step_key_check")
    bench.make_due(job_id)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, job.output["chunks"], bench.calls(job_id)) == (State.SUCCEEDED, 250, 3)


def test_what_an_older_version_stored_is_not_paid_for_again(bench: Bench) -> None:
    """It stored all chunks of a job at once, and cut some texts at other places."""
    job_id = bench.submit(model=SMALL, input=TEXTS)
    old = [NewChunk(new_id(), n, "cats", n, n + 1, "cut", [0.5] * 1536) for n in range(2)]
    with bench.services.database.transaction() as tx:
        chunks.insert(tx, PROJECT, job_id, SMALL, old)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id)) == (State.SUCCEEDED, 0)
    assert job.output == {"model": SMALL, "dimensions": 1536, "chunks": 2, "sources": {"cats": 2}}


def test_each_call_is_held_against_the_limit_of_the_cost(bench: Bench) -> None:
    text = "汉" * 300_000  # 256 chunks a call could cost 3,082 micro-dollars
    stopped = bench.finished(model=SMALL, input=[text], max_cost_usd="0.004")
    assert stopped.state is State.FAILED
    assert stopped.error is not None
    assert stopped.error["type"] == "budget_exceeded"
    assert 0 < (stopped.cost_micros or 0) <= 4000
    allowed = bench.finished(model=SMALL, input=[text], max_cost_usd="0.02")
    assert allowed.state is State.SUCCEEDED
    assert (allowed.cost_micros or 0) <= 20_000


def test_a_text_from_a_long_source_is_stored(bench: Bench) -> None:
    source = "https://files.example/" + "".join(new_id().hex for _ in range(300))
    job = bench.finished(model=LOCAL, input=[{"source": source, "text": "A text."}])
    assert job.state is State.SUCCEEDED
