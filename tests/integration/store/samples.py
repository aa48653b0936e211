"""Jobs and workers in a database, put where a test needs them by the moves that the platform makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, JobError, Kind, NewJob, Outcome, new_id
from factory.domain.lanes import Priority, all_lanes
from factory.domain.money import Usage
from factory.domain.principal import Principal
from factory.domain.state import State
from factory.services import Services
from factory.store import hints, jobs, journal, leases, moves
from factory.store.archive import EVERY_JOB
from factory.store.database import rows, run
from factory.store.journal import Call, CallEnd
from factory.store.moves import Moved

PROJECT = UUID("018f0000-0000-7000-8000-000000000001")
OTHER_PROJECT = UUID("018f0000-0000-7000-8000-000000000002")
OWNER = Principal(frozenset({PROJECT}), "key:one")
OTHER_OWNER = Principal(frozenset({OTHER_PROJECT}), "key:two")
BROKE = JobError("provider_unavailable", "it broke", retryable=True)
HOOK = "http://127.0.0.1:9/hook"
NO_USAGE = Usage()


def new_job(**changes: Any) -> NewJob:
    """A small completion for OpenAI, with whatever the test changes."""
    job = NewJob(
        id=new_id(),
        project_id=PROJECT,
        kind=Kind.COMPLETION,
        provider="openai",
        priority=Priority.NORMAL,
        input={"messages": [{"role": "user", "content": "Say hello."}]},
        model="openai/gpt-4o-mini",
    )
    return replace(job, **changes)


def given_job(services: Services, **changes: Any) -> UUID:
    """A queued job."""
    return given_jobs(services, 1, **changes)[0]


def given_jobs(services: Services, count: int, **changes: Any) -> list[UUID]:
    """Queued jobs, oldest first."""
    made = [new_job(**changes) for _ in range(count)]
    with services.database.transaction() as tx:
        jobs.insert(tx, made)
    return [job.id for job in made]


def given_worker(
    services: Services, *, lanes: Sequence[str] = all_lanes(), slots: int = 100
) -> UUID:
    """A live worker."""
    worker_id = new_id()
    with services.database.transaction() as tx:
        leases.register(tx, worker_id, hostname="here", pid=1, lanes=lanes, slots=slots)
    return worker_id


def claim(services: Services, worker_id: UUID, *job_ids: UUID) -> list[ClaimedJob]:
    with services.database.transaction() as tx:
        return moves.claim(tx, worker_id, job_ids)


def claim_one(services: Services, job_id: UUID) -> ClaimedJob:
    """The job, held by a live worker of its own."""
    [job] = claim(services, given_worker(services), job_id)
    return job


def finish(services: Services, *outcomes: Outcome) -> list[Moved]:
    with services.database.transaction() as tx:
        return moves.finish(tx, outcomes)


def end(job: ClaimedJob, state: State, **changes: Any) -> Outcome:
    """How the holder of a claimed job ends its attempt."""
    return replace(Outcome(job.id, job.lease_token, state), **changes)


def given_state(services: Services, state: State, **changes: Any) -> tuple[UUID, int | None]:
    """A job in that state and the last lease token that it had."""
    job_id = given_job(services, **changes)
    if state is State.QUEUED:
        return job_id, None
    held = claim_one(services, job_id)
    if state is not State.RUNNING:
        assert [moved.state for moved in finish(services, end(held, state))] == [state]
    return job_id, held.lease_token


def state_of(services: Services, job_id: UUID) -> State:
    [row] = ask(services, f"SELECT state FROM {EVERY_JOB} j WHERE id = %(id)s", id=str(job_id))
    return State(row.state)


def view(services: Services, job_id: UUID) -> jobs.JobView:
    with services.database.transaction() as tx:
        found = jobs.get(tx, PROJECT, job_id)
    assert found is not None
    return found


def record_call(
    services: Services,
    job: ClaimedJob,
    *,
    cost_micros: int | None = 0,
    usage: Usage = NO_USAGE,
    error_type: str | None = None,
    output: Any = None,
    closed: bool = True,
) -> UUID:
    """A physical call of the job, ended unless `closed` is False."""
    call = Call(
        new_id(),
        job.id,
        job.lease_token,
        job.project_id,
        "answer",
        job.attempt,
        "openai",
        "gpt-4o-mini",
    )
    with services.database.transaction() as tx:
        journal.open_calls(tx, [call])
    if closed:
        close_call(services, call.id, job, cost_micros, usage, error_type, output)
    return call.id


def close_call(
    services: Services,
    call_id: UUID,
    job: ClaimedJob,
    cost_micros: int | None = 0,
    usage: Usage = NO_USAGE,
    error_type: str | None = None,
    output: Any = None,
) -> set[UUID]:
    ending = CallEnd(
        call_id,
        job.id,
        "answer",
        "openai",
        "gpt-4o-mini",
        usage,
        cost_micros,
        latency_ms=5,
        error_type=error_type,
        output=output if error_type else output or {"text": "hello"},
    )
    with services.database.transaction() as tx:
        return journal.close_calls(tx, [ending])


def publish(services: Services, lane: str, window: int) -> list[UUID]:
    with services.database.transaction() as tx:
        return hints.publish(tx, lane, window)


def webhooks_of(services: Services, job_id: UUID) -> list[Any]:
    """The webhook jobs that a job has given birth to."""
    return list(
        ask(
            services,
            "SELECT j.id, j.kind, j.lane, j.max_attempts, p.input, p.webhook_url FROM jobs j"
            " JOIN job_requests p ON p.job_id = j.id WHERE j.parent_id = %(id)s UNION ALL"
            " SELECT j.id, j.kind, j.lane, j.max_attempts, c.input, c.webhook_url FROM jobs_archive j"
            " JOIN job_contents c ON c.job_id = j.id WHERE j.parent_id = %(id)s",
            id=str(job_id),
        )
    )


def ask(services: Services, statement: str, **params: Any) -> Sequence[Any]:
    with services.database.transaction() as tx:
        return rows(tx, statement, params)


def tell(services: Services, statement: str, **params: Any) -> int:
    with services.database.transaction() as tx:
        return run(tx, statement, params)


def waits_for_locks(services: Services) -> int:
    """How many statements wait for a lock that another transaction holds."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return len(ask(services, waiting))


def silence(services: Services, worker_id: UUID, seconds: float) -> None:
    """The worker's last heartbeat is this long ago."""
    tell(
        services,
        "UPDATE workers SET heartbeat_at = now() - make_interval(secs => %(s)s) WHERE id = %(id)s",
        id=str(worker_id),
        s=seconds,
    )
