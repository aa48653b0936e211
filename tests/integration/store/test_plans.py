"""The plans of the hot statements on a table with a history: none may read all of it."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.job import JobError, Outcome, new_id
from factory.domain.state import State
from factory.services import Services
from factory.store import (
    archive,
    backlog,
    hints,
    idempotency,
    intents,
    jobs,
    journal,
    leases,
    listing,
    lookup,
    lost_hints,
    moves,
    quarantine,
    successes,
    waits,
)
from factory.store.database import array, as_json
from factory.store.listing import Filter
from factory.store.successes import Success
from tests.integration.store.plans import nodes, plan, rows_read
from tests.integration.store.samples import (
    OTHER_PROJECT,
    PROJECT,
    ask,
    given_jobs,
    given_worker,
    publish,
    tell,
)

HISTORY = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts, run_at,
                      finished_at, deadline_at)
    SELECT gen_random_uuid(), CASE WHEN mod(n, 10) = 0 THEN %(mine)s ELSE %(others)s END::uuid,
           'completion', CASE WHEN mod(n, 2) = 0 THEN 'queued' ELSE 'succeeded' END, 'openai.normal',
           'openai', 'normal', 5, now() - make_interval(secs => n),
           CASE WHEN mod(n, 2) = 1 THEN now() END,
           CASE WHEN mod(n, 100) = 0 THEN now() + interval '1 hour' END
      FROM generate_series(1, 40000) n
    RETURNING id, state
), payloads AS (
    INSERT INTO job_requests (job_id, input) SELECT id, '{}' FROM made
), calls AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, status,
                           cost_micros, started_at)
    SELECT gen_random_uuid(), id, %(mine)s, 'answer', 1, 'openai', 'gpt-4o-mini', 'succeeded', 7,
           now() - interval '2 days'
      FROM made WHERE state = 'succeeded'
), steps AS (
    INSERT INTO job_steps (job_id, step_key, output)
    SELECT id, 'answer', '{"text": "hello"}' FROM made WHERE state = 'succeeded'
), keys AS (
    INSERT INTO idempotency_keys (project_id, key, request_hash, job_id)
    SELECT %(mine)s, id::text, 'hash', id FROM made
)
INSERT INTO job_outcomes (job_id, input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls)
SELECT id, 1, 1, 0, 7, 0 FROM made WHERE state = 'succeeded'
"""
ACTIVE = """
WITH active AS (
    UPDATE jobs SET state = 'running', worker_id = %(worker)s, lease_token = nextval('lease_tokens')
     WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' LIMIT 1000)
    RETURNING id
)
INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model)
SELECT gen_random_uuid(), id, %(mine)s, 'answer', 1, 'openai', 'gpt-4o-mini' FROM active
"""


@pytest.fixture(scope="module")
def history(module_services: Services) -> Services:
    """20,000 queued and 20,000 finished jobs; then, unknown to the planner, 1,000 run and 50 are published."""
    services = module_services
    tell(services, HISTORY, mine=str(PROJECT), others=str(OTHER_PROJECT))
    connection = services.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    for table in (*LARGE, "workers"):
        connection.exec_driver_sql(f"VACUUM ANALYZE {table}")
    connection.close()
    tell(services, ACTIVE, worker=str(given_worker(services)), mine=str(PROJECT))
    with services.database.transaction() as tx:
        hints.publish(tx, "openai.normal", 50)
    return services


def _some_ids(services: Services, state: State) -> list[str]:
    found = ask(services, "SELECT id FROM jobs WHERE state = %(s)s LIMIT 50", s=state)
    return [str(row.id) for row in found]


def _claim(services: Services) -> tuple[str, dict[str, Any]]:
    params = {"ids": array(_some_ids(services, State.QUEUED)), "worker_id": str(new_id())}
    return moves.CLAIM, {**params, "call_ids": "{}", "quarantine": False, "quarantine_deaths": 2}


def _finish(services: Services) -> tuple[str, dict[str, Any]]:
    held = ask(services, "SELECT id, lease_token FROM jobs WHERE state = 'running' LIMIT 50")
    error = JobError("provider_refused", "no", retryable=False)
    ends = [Outcome(row.id, row.lease_token, State.FAILED, error=error) for row in held]
    return moves.FINISH, moves.finish_params(ends)


def _finish_archived(services: Services) -> tuple[str, dict[str, Any]]:
    held = ask(services, "SELECT id, lease_token FROM jobs WHERE state = 'running' LIMIT 50")
    ends = [Outcome(row.id, row.lease_token, State.SUCCEEDED, output={"text": "a"}) for row in held]
    return successes.FINISH, successes.finish_params([Success(one) for one in ends])


def _settle(services: Services) -> tuple[str, dict[str, Any]]:
    return journal.SETTLE, {"ids": _some_ids(services, State.SUCCEEDED)}


def _open(services: Services) -> tuple[str, dict[str, Any]]:
    held = ask(
        services, "SELECT id AS job_id, lease_token FROM jobs WHERE state = 'running' LIMIT 50"
    )
    call = {
        "project_id": PROJECT,
        "step_key": "answer",
        "attempt": 1,
        "provider": "openai",
        "model": "gpt-4o-mini",
    }
    calls = [{"id": new_id(), **row._asdict(), **call} for row in held]
    return journal.OPEN, {"calls": as_json(calls)}


def _close(services: Services) -> tuple[str, dict[str, Any]]:
    calls = ask(
        services, "SELECT id AS call_id, job_id FROM llm_calls WHERE status = 'open' LIMIT 50"
    )
    end = {"step_key": "answer", "status": "succeeded", "output": {"text": "hello"}}
    ends = [{**row._asdict(), **end} for row in calls]
    return journal.CLOSE, {"ends": as_json(ends)}


def _move_intents(services: Services) -> tuple[str, dict[str, Any]]:
    held = array(_some_ids(services, State.RUNNING))
    return intents.TO_JOURNAL, {"ids": held, "call_ids": held}


def _one(services: Services, state: State) -> dict[str, Any]:
    return {"id": _some_ids(services, state)[0], "project_id": str(PROJECT)}


def _wanted(services: Services) -> dict[str, Any]:
    found = _some_ids(services, State.SUCCEEDED)
    return {
        "ids": array(found),
        "project_ids": array([str(PROJECT)] * len(found)),
        "since": lookup.EVER,
    }


def _page(chosen: Filter, **params: Any) -> tuple[str, dict[str, Any]]:
    given = {"project_id": str(PROJECT), "limit": 20, "after": str(new_id()), **params}
    return listing.statement(chosen, new_id()), given


# Programs of before run beside new ones during an update.
HELD_OF_BEFORE = """
SELECT project_id, count(*) AS jobs FROM jobs
 WHERE lane = %(lane)s AND NOT deaths >= 2
   AND (state = 'running' OR (state = 'queued' AND published_at IS NOT NULL))
 GROUP BY project_id
"""
WINDOW = {"lane": "openai.normal", "window": 50}
PUBLISHED = hints.publish_params("openai.normal", 50)
LIMITED = hints.publish_params("openai.normal", 50, hints.Limits(free=10, full=2000, few=5))
FROM_THE_FIRST = {"run_at": waits.FIRST.run_at, "id": str(waits.FIRST.id), "limit": waits.PAGE}
QUERIES = {
    "claim": _claim,
    "finish": _finish,
    "finish archived": _finish_archived,
    "settle": _settle,
    "publish": lambda _: (hints.PUBLISH, PUBLISHED),
    "publish beside a tenth": lambda _: (hints.PUBLISH, LIMITED),
    "publish quarantined": lambda _: (quarantine.PUBLISH, WINDOW),
    "fetched hints": lambda _: (lost_hints.FETCHED, {"lease_s": 15.0}),
    "look": lambda _: (hints.LOOK, {"lease_s": 15.0}),
    "unpublish": lambda s: (
        lost_hints.UNPUBLISH,
        {"lane": "openai.normal", "ids": _some_ids(s, State.QUEUED)},
    ),
    "lost hints": lambda _: (lost_hints.LOST, {"first": 10, "longest": 300}),
    "lost marks": lambda _: (lost_hints.LOST_MARKS, {"first": 10, "longest": 300}),
    "stale hints": lambda _: (lost_hints.STALE, {}),
    "all hints": lambda _: (lost_hints.ALL, {}),
    "all marks": lambda _: (lost_hints.ALL_MARKS, {}),
    "what a lane holds, for programs of before": lambda _: (HELD_OF_BEFORE, WINDOW),
    "expired": lambda _: (leases.EXPIRED, {"lease_s": 15.0}),
    "heartbeat": lambda _: (leases.HEARTBEAT, {"id": str(new_id())}),
    "overdue": lambda _: (moves.OVERDUE, {"state": "queued"}),
    "overdue waits": lambda _: (moves.OVERDUE, {"state": "waiting"}),
    "families": lambda s: (waits.FAMILIES, {"ids": _some_ids(s, State.RUNNING)}),
    "wake parents": lambda s: (waits.WAKE_PARENTS, {"ids": _some_ids(s, State.RUNNING)}),
    "wake": lambda s: (waits.WAKE, {"ids": _some_ids(s, State.RUNNING), "type": "budget"}),
    "wake due": lambda _: (waits.WAKE_DUE, {"limit": 1000}),
    "parents": lambda _: (waits.PARENTS, FROM_THE_FIRST),
    "ended": lambda s: (jobs.ENDED, {"ids": array(_some_ids(s, State.QUEUED))}),
    "depths": lambda _: (jobs.DEPTHS, {"project_id": None}),
    "backlog": lambda _: (backlog.MEASURE, {"drained_per_s": 0.0}),
    "abandoned calls": lambda _: (journal.ABANDONED, {}),
    "open": _open,
    "close": _close,
    "move intents": _move_intents,
    "due": lambda s: (quarantine.DUE, {"ids": _some_ids(s, State.QUEUED)}),
    "cancel": lambda s: (moves.REQUEST_CANCEL, _one(s, State.QUEUED)),
    "retry": lambda s: (moves.RETRY, _one(s, State.SUCCEEDED)),
    "get": lambda s: (jobs.GET, _wanted(s)),
    "get archived": lambda s: (jobs.GET_ARCHIVED, _wanted(s)),
    "list": lambda _: _page(Filter()),
    "list of a state": lambda _: _page(Filter(state="running"), state="running"),
    "list of a lane": lambda _: _page(Filter(lane="openai.normal"), lane="openai.normal"),
    "workers": lambda _: (leases.WORKERS, {"lease_s": 15.0}),
    "held": lambda _: (leases.HELD, {"id": str(new_id())}),
    "repeated key": lambda _: (idempotency.READ, {"project_id": str(PROJECT), "key": "a"}),
    "archive": lambda _: (archive.MOVE, {"after_s": 3600, "limit": 1000}),
}
LARGE = {"jobs", "job_requests", "job_outcomes", "job_steps", "llm_calls", "idempotency_keys"}


@pytest.mark.parametrize("name", QUERIES)
def test_no_hot_statement_reads_a_whole_table(history: Services, name: str) -> None:
    statement, params = QUERIES[name](history)
    scans = [
        node
        for node in nodes(plan(history, statement, params))
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
    ]
    assert scans == []


@pytest.mark.parametrize(
    "name", ["claim", "open", "close", "move intents", "finish", "finish archived"]
)
def test_a_step_of_50_jobs_does_not_read_the_1000_that_others_hold(
    history: Services, name: str
) -> None:
    statement, params = QUERIES[name](history)
    assert rows_read(history, statement, params, "jobs", "llm_calls") < 300


def test_a_round_of_publishing_reads_about_as_many_jobs_as_it_publishes(
    history: Services,
) -> None:
    """Two projects offer a window each, and what is in flight counts; the backlog stays unread."""
    assert rows_read(history, hints.PUBLISH, PUBLISHED, "jobs") < 2000


MANY_PROJECTS = """
INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts)
SELECT gen_random_uuid(), owner, 'completion', 'queued', 'openai.normal', 'openai', 'normal', 5
  FROM (SELECT gen_random_uuid() AS owner FROM generate_series(1, 40)) owners, generate_series(1, 200)
"""


def test_a_round_of_publishing_reads_a_window_and_not_a_window_a_project(
    services: Services,
) -> None:
    tell(services, MANY_PROJECTS)
    tell(services, "ANALYZE jobs")
    assert rows_read(services, hints.PUBLISH, PUBLISHED, "jobs") < 400


SURGE = """
INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts)
SELECT gen_random_uuid(), %(mine)s, 'completion', 'queued', 'openai.normal', 'openai', 'normal', 5
  FROM generate_series(1, 20000)
"""


def test_a_round_of_publishing_reads_no_backlog_of_which_the_planner_has_not_heard(
    services: Services,
) -> None:
    """A bulk of jobs comes within a second; autovacuum tells the planner a minute later."""
    given_jobs(services, 500)
    assert len(publish(services, "openai.normal", 500)) == 500
    tell(services, "ANALYZE jobs, hints")
    tell(services, SURGE, mine=str(PROJECT))
    assert rows_read(services, hints.PUBLISH, PUBLISHED, "jobs") < 1000
