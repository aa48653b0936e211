"""The webhook job of a job that ends: part of the statements that end jobs."""

from __future__ import annotations

from factory.store.jobs import PAYLOAD_SHOWN, SHOWN

EVENT_VERSION = 1
"""Of what a webhook job stores of the event; see `factory.store.codec`."""


OWED = "p.webhook_url IS NOT NULL AND e.kind <> 'webhook'"


def event_parts(results: str) -> str:
    """The parts `events` and `event_payloads` of a statement that has a part `ended`.

    `results` joins what each job used, as `r`. There is a webhook job exactly when the job has ended, and it shows the
    job as it ended.
    """
    return f"""
events AS (
    INSERT INTO jobs (id, project_id, kind, lane, provider, priority, max_attempts, parent_id,
                      ends_in_archive)
    SELECT e.webhook_job_id, e.project_id, 'webhook', %(webhook_lane)s, 'webhook', 'normal',
           %(webhook_attempts)s, e.job_id, true
      FROM ended e JOIN job_requests p ON p.job_id = e.job_id
     WHERE {OWED}
), event_payloads AS (
    INSERT INTO job_requests (job_id, project_id, input, webhook_url)
    SELECT e.webhook_job_id, e.project_id,
           jsonb_build_object(
               'v', {EVENT_VERSION},
               'type', 'job.' || e.state,
               'job', to_jsonb(told)
                   || jsonb_build_object('state', e.state, 'finished_at', e.finished_at)),
           p.webhook_url
      FROM ended e
      JOIN job_requests p ON p.job_id = e.job_id
      JOIN jobs j ON j.id = e.job_id
     {results}
     CROSS JOIN LATERAL (
           {SHOWN} {PAYLOAD_SHOWN}, e.output, e.error, r.input_tokens, r.output_tokens,
           r.cached_tokens, r.cost_micros, r.unknown_calls) told
     WHERE {OWED}
)"""
