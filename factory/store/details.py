"""One job in full: its input, its calls, and the delivery of its webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from factory.domain.state import State
from factory.domain.waiting import Waiting
from factory.store.codec import told_wait
from factory.store.database import Tx
from factory.store.intents import FIRST_STEP, is_open, model_of
from factory.store.jobs import ARCHIVED, LIVE, SHOWN, JobView
from factory.store.lookup import SINCE, WANTED, Looks, Wanted, look_up

MOST_CALLS = 100
"""The last ones are shown: a job that met rate limits for a day may have made thousands."""
LARGE_BYTES = 16 * 1024
"""Above this, input and output are large. Counted as they are stored, compressed, since that needs no reading."""


@dataclass(frozen=True, slots=True)
class JobDetail(JobView):
    """A job as its owner sees it when asking for this one."""

    input: Any = None
    params: Mapping[str, Any] | None = None
    fallbacks: Sequence[str] | None = None
    max_cost_micros: int | None = None
    deadline_at: datetime | None = None
    webhook_url: str | None = None
    last_error: dict[str, Any] | None = None
    """The error of the last attempt, while the job waits for the next one."""
    waiting_for: Waiting | None = None
    calls: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """The last calls, oldest first: columns of `llm_calls`."""
    webhook: Mapping[str, Any] | None = None
    """The webhook job: state, attempt, next_at; http_status and error of its last delivery."""
    omitted: bool = False
    """Whether input and output were left out because they are large, see `get_small_details`."""


# The columns of `_calls`, of the call that a running job's row holds.
HELD_CALL = f"""
        UNION ALL
        SELECT j.intent_id, j.attempt, '{FIRST_STEP}', j.provider, {model_of("j")}, 'open', j.started_at,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE {is_open("j")}"""


def _calls(table: str, rest: str = "") -> str:
    return f"""
CASE WHEN j.started_at IS NOT NULL THEN (
    SELECT jsonb_agg(c ORDER BY c.id) FROM (
        SELECT id, attempt, step_key, provider, model, status, started_at, latency_ms, http_status,
               error_type, error_message, input_tokens, output_tokens, cached_tokens, cost_micros
          FROM {table} WHERE job_id = j.id {rest} ORDER BY id DESC LIMIT {MOST_CALLS}) c) END AS calls"""


def _webhook(which: str, table: str) -> str:
    return f"""
    SELECT jsonb_build_object('state', w.state, 'attempt', w.attempt, 'next_at', w.run_at,
                              'http_status', d.http_status, 'error', d.error)
      FROM {table} w
      LEFT JOIN LATERAL (SELECT http_status, error FROM webhook_deliveries
                          WHERE job_id = w.id ORDER BY id DESC LIMIT 1) d ON true
     WHERE {which} ORDER BY w.id DESC LIMIT 1"""


LIVE_WEBHOOK = _webhook("w.parent_id = j.id AND w.kind = 'webhook'", "jobs")
# The event may still be undelivered days after its job was archived.
ARCHIVED_WEBHOOK = (
    f"coalesce(({_webhook('w.id = j.webhook_job_id', 'jobs')}),"
    f" ({_webhook(f'w.id = j.webhook_job_id AND w.finished_at >= {SINCE}', 'jobs_archive')}))"
)
GET_LIVE = f"""
{SHOWN} {LIVE.columns}, p.input, p.params, p.fallbacks, p.webhook_url, j.max_cost_micros, j.deadline_at,
       j.last_error, CASE WHEN j.state = 'waiting' THEN j.waiting_for END AS waiting_for,
       {_calls("llm_calls", HELD_CALL)},
       CASE WHEN p.webhook_url IS NOT NULL AND j.finished_at IS NOT NULL THEN ({LIVE_WEBHOOK}) END AS webhook,
       false AS omitted
  {LIVE.tables} {WANTED}
"""
GET_ARCHIVED = f"""
{SHOWN} {ARCHIVED.columns}, c.input, c.params, c.fallbacks, c.webhook_url, j.max_cost_micros, j.deadline_at,
       NULL::jsonb AS last_error, NULL::jsonb AS waiting_for, {_calls("llm_calls_archive", f"AND started_at >= {SINCE}")},
       CASE WHEN j.webhook_job_id IS NOT NULL THEN {ARCHIVED_WEBHOOK} END AS webhook,
       false AS omitted
  {ARCHIVED.tables} AND c.finished_at >= {SINCE} {WANTED} AND j.finished_at >= {SINCE}
"""
LOOKS = Looks(("details", GET_LIVE), ("details_archived", GET_ARCHIVED))
CONTENT = ("input", "output")
OTHERS = ", ".join(
    f"page.{one.name}" for one in fields(JobDetail) if one.name not in (*CONTENT, "omitted")
)
SIZE = " + ".join(f"coalesce(pg_column_size(page.{name}), 0)" for name in CONTENT)


def _small(statement: str) -> str:
    """Of large jobs no content is read: Postgres keeps it apart from the row, which has its size."""
    shown = [
        f"CASE WHEN {SIZE} <= {LARGE_BYTES} THEN page.{name} END AS {name}" for name in CONTENT
    ]
    return f"""
SELECT {OTHERS}, {", ".join(shown)}, {SIZE} > {LARGE_BYTES} AS omitted
  FROM ({statement}) page"""


SMALL_LOOKS = Looks(
    ("small_details", _small(GET_LIVE)), ("small_details_archived", _small(GET_ARCHIVED))
)


def get_details(tx: Tx, wanted: Sequence[Wanted]) -> list[JobDetail | None]:
    """The job of each pair, live or archived; None if the project has no such job."""
    return look_up(tx, wanted, LOOKS, _detail)


def get_small_details(tx: Tx, wanted: Sequence[Wanted]) -> list[JobDetail | None]:
    """As `get_details`, for many who wait for each other: input and output that are large are left out."""
    return look_up(tx, wanted, SMALL_LOOKS, _detail)


def _detail(row: Any) -> JobDetail:
    values = row._asdict()
    values["state"] = State.named(values["state"])
    values["calls"] = values["calls"] or ()
    values["waiting_for"] = told_wait(values["waiting_for"])
    return JobDetail(**values)
