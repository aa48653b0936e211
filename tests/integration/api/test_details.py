"""GET /api/jobs/{id} tells what was asked and what happened."""

from __future__ import annotations

from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import JobError, Outcome, new_id, parse_id, public_id
from factory.domain.money import Usage
from factory.domain.state import State
from factory.domain.waiting import WaitFor, WaitType
from factory.services import Services
from factory.store import archive, deliveries, journal, moves, partitions
from factory.store.deliveries import Attempt
from factory.store.details import LARGE_BYTES, get_small_details
from factory.store.journal import Call, CallEnd
from tests.integration.store.samples import ask, tell

from .conftest import JOB, MODEL, Caller, end_job, start_job

HOOK = "https://hooks.example.com/jobs"
CHILD = new_id()


def _submit(caller: Caller, **change: object) -> str:
    answer = caller.post("/api/jobs", {**JOB, **change})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def _read(caller: Caller, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = caller.get(f"/api/jobs/{job_id}").get_json()
    return job


def _call_fails(services: Services, project_id: UUID, job_id: str) -> None:
    """An attempt whose call is refused; the job waits for the next one."""
    error = JobError("provider_unavailable", "connection to the provider was refused", True)
    with services.database.transaction() as tx:
        [job] = moves.claim(tx, new_id(), [parse_id(job_id)])
        call = Call(new_id(), job.id, job.lease_token, project_id, "answer", job.attempt, "openai", "gpt-4o-mini")  # fmt: skip
        journal.open_calls(tx, [call])
        end = CallEnd(
            call.id,
            job.id,
            "answer",
            "openai",
            "gpt-4o-mini",
            Usage(),
            0,
            7,
            error_type=error.type,
            error_message=error.message,
            http_status=503,
        )
        journal.close_calls(tx, [end])
        moves.finish(
            tx, [Outcome(job.id, job.lease_token, State.QUEUED, error=error, delay_s=600.0)]
        )


def test_what_was_asked_is_shown(caller: Caller) -> None:
    job_id = _submit(
        caller,
        input=[{"role": "user", "content": "Hello"}],
        params={"system": "Be brief.", "temperature": 0.5},
        max_cost_usd=0.25,
        deadline_s=600,
        fallbacks=["anthropic/claude-haiku-4-5"],
        webhook={"url": HOOK},
    )
    job = _read(caller, job_id)
    assert job["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert (job["params"], job["max_cost_usd"]) == ({"temperature": 0.5}, 0.25)
    assert job["fallbacks"] == ["anthropic/claude-haiku-4-5"]
    assert job["deadline_at"] > job["created_at"]
    assert job["webhook"] == {
        "url": HOOK,
        "state": None,
        "attempts": 0,
        "last_status": None,
        "last_error": None,
        "next_at": None,
    }
    assert (job["attempts"], job["next_attempt_at"]) == ([], job["run_at"])


def test_the_texts_of_an_embedding_are_shown(caller: Caller) -> None:
    job_id = _submit(caller, model="openai/text-embedding-3-small", input=["one", "two"])
    assert _read(caller, job_id)["input"] == [
        {"source": "input[0]", "text": "one"},
        {"source": "input[1]", "text": "two"},
    ]


def test_a_job_that_waits_for_its_next_attempt_says_why_and_until_when(
    caller: Caller, services: Services
) -> None:
    job_id = _submit(caller)
    for _ in range(2):
        tell(services, "UPDATE jobs SET run_at = now()")
        _call_fails(services, caller.project_id, job_id)
    job = _read(caller, job_id)
    assert (job["state"], job["next_attempt_at"]) == ("queued", job["run_at"])
    assert job["error"]["message"] == "connection to the provider was refused"
    assert [call["attempt"] for call in job["attempts"]] == [1, 2]
    last = job["attempts"][-1]
    assert last["started_at"].endswith("Z")
    assert (last["model"], last["state"], last["http_status"]) == (MODEL, "failed", 503)
    assert last["error"] == {
        "type": "provider_unavailable",
        "message": "connection to the provider was refused",
    }
    assert (last["latency_ms"], last["cost_usd"]) == (7, 0.0)


@pytest.mark.parametrize("wait", [WaitFor.time(600.0), WaitFor.children([CHILD]), WaitFor.children(), WaitFor(WaitType.APPROVAL)])  # fmt: skip
def test_a_waiting_job_shows_what_it_waits_for(
    caller: Caller, services: Services, wait: WaitFor
) -> None:
    job_id = _submit(caller)
    assert _read(caller, job_id)["waiting_for"] is None
    token = start_job(services, job_id)
    waits = Outcome(parse_id(job_id), token, State.WAITING, waiting_for=wait)
    with services.database.transaction() as tx:
        moves.finish(tx, [waits])
    job = _read(caller, job_id)
    assert (job["state"], job["attempt"]) == ("waiting", 0)
    shown = job["waiting_for"]
    assert shown.pop("since") >= job["started_at"]
    assert shown == {
        "type": wait.type,
        "until": job["run_at"] if wait.type == "time" else None,
        "jobs": [public_id(CHILD)] if wait.jobs else None,
    }
    cancelled = caller.post(f"/api/jobs/{job_id}/cancel")
    assert cancelled.get_json()["state"] == "cancelled"
    assert _read(caller, job_id)["waiting_for"] is None


def test_the_error_of_an_attempt_is_forgotten_once_the_job_succeeds(
    caller: Caller, services: Services
) -> None:
    job_id = _submit(caller)
    _call_fails(services, caller.project_id, job_id)
    tell(services, "UPDATE jobs SET run_at = now()")
    end_job(services, job_id, output={"text": "2, 3, 5"})
    job = _read(caller, job_id)
    assert (job["state"], job["error"], job["next_attempt_at"]) == ("succeeded", None, None)
    assert [call["state"] for call in job["attempts"]] == ["failed"]


def _deliver(services: Services, project_id: UUID, status: int, state: State) -> None:
    """A worker delivers the only event there is."""
    with services.database.transaction() as tx:
        [row] = tx.exec_driver_sql(
            "SELECT id FROM jobs WHERE kind = 'webhook' AND state = 'queued'"
        ).all()
        [job] = moves.claim(tx, new_id(), [row.id])
        error = None if status < 300 else f"the receiver answered {status}"
        tried = Attempt(new_id(), project_id, job.id, job.attempt, HOOK, "job.succeeded", status, error, 5)  # fmt: skip
        deliveries.log(tx, [tried])
        moves.finish(tx, [Outcome(job.id, job.lease_token, state, delay_s=300.0)])


@pytest.mark.parametrize("way", ["straight to the archive", "moved to the archive", "live"])
def test_the_way_of_the_webhook_is_shown(caller: Caller, services: Services, way: str) -> None:
    job_id = _submit(caller, webhook={"url": HOOK})
    archived = way == "moved to the archive"
    if way != "straight to the archive":
        _keep_live(services)
    end_job(services, job_id)
    assert _read(caller, job_id)["webhook"]["state"] == "queued"
    _deliver(services, caller.project_id, 500, State.QUEUED)
    if archived:
        _archive(services, job_id)
    waiting = _read(caller, job_id)["webhook"]
    assert (waiting["attempts"], waiting["last_status"]) == (1, 500)
    assert waiting["last_error"] == "the receiver answered 500"
    assert waiting["next_at"] > _read(caller, job_id)["finished_at"]
    tell(services, "UPDATE jobs SET run_at = now() WHERE kind = 'webhook'")
    _deliver(services, caller.project_id, 204, State.SUCCEEDED)
    if archived:
        _archive(services, job_id)
    done = _read(caller, job_id)["webhook"]
    assert (done["state"], done["last_status"], done["next_at"]) == ("succeeded", 204, None)


def _keep_live(services: Services) -> None:
    """Jobs end as those end that a gateway of a release before accepted."""
    tell(services, "UPDATE jobs SET ends_in_archive = NULL")


def _archive(services: Services, job_id: str) -> None:
    """All that has ended."""
    tell(
        services,
        "UPDATE jobs SET finished_at = now() - interval '2 hours' WHERE finished_at IS NOT NULL",
    )
    with services.database.transaction() as tx:
        for family in partitions.FAMILIES:
            now = partitions.database_now(tx)
            for span in partitions.missing(tx, family, now, now):
                partitions.make(tx, family, span)
        assert archive.move(tx, 3600, 100) >= 1
    assert ask(services, "SELECT FROM jobs WHERE id = %(id)s", id=str(parse_id(job_id))) == []


def test_an_archived_job_still_tells_what_was_asked_and_what_happened(
    caller: Caller, services: Services
) -> None:
    job_id = _submit(caller, params={"temperature": 0.5})
    _keep_live(services)
    _call_fails(services, caller.project_id, job_id)
    tell(services, "UPDATE jobs SET run_at = now()")
    end_job(services, job_id, output={"text": "2, 3, 5"})
    before = _read(caller, job_id)
    _archive(services, job_id)
    after = _read(caller, job_id)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"finished_at"}


def test_a_list_carries_none_of_it(caller: Caller, services: Services) -> None:
    start_job(services, _submit(caller))
    [job] = caller.get("/api/jobs").get_json()["data"]
    assert not {"input", "params", "attempts", "webhook"} & set(job)


@pytest.mark.parametrize("large", ["input", "output"])
def test_a_large_job_is_read_apart_from_others_and_whole(
    caller: Caller, services: Services, large: str
) -> None:
    text = token_hex(LARGE_BYTES)
    small_id = _submit(caller)
    large_id = _submit(caller, input=text if large == "input" else "hello")
    if large == "output":
        end_job(services, small_id, output={"text": "hello"})
        end_job(services, large_id, output={"text": text})
    with services.database.transaction() as tx:
        wanted = [(caller.project_id, parse_id(job_id)) for job_id in (small_id, large_id)]
        small, omitted = get_small_details(tx, wanted)
    assert small is not None
    assert omitted is not None
    assert not small.omitted
    assert small.input
    assert (omitted.omitted, omitted.input, omitted.output) == (True, None, None)
    assert (omitted.id, omitted.state, omitted.expired) == (parse_id(large_id), small.state, False)

    whole = _read(caller, large_id)
    read = whole["input"][0]["content"] if large == "input" else whole["result"]["text"]
    assert read == text
