"""Ends of attempts that were committed before: the commit's answer was lost, and the worker makes it again."""

from __future__ import annotations

from collections.abc import Sequence

from factory.domain.job import Outcome
from factory.store.database import Tx, ids, rows
from factory.store.moves import Moved, moved

# The reaper records no `last_lease_token`, so what the lost worker reports afterwards is stale. A job that runs again
# by now was queued by the move that is looked for.
FINISHED_BEFORE = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(CAST(%(ids)s AS uuid[]), CAST(%(tokens)s AS bigint[])) AS g(id, lease_token)
)
SELECT j.id, j.last_lease_token AS lease_token, j.lane, NULL::uuid AS parent_id,
       CASE WHEN j.state = 'running' THEN 'queued' ELSE j.state END AS state
  FROM jobs j JOIN given g ON j.id = g.id AND j.last_lease_token = g.lease_token
 UNION ALL
SELECT a.id, a.last_lease_token, a.lane, NULL, a.state
  FROM jobs_archive a JOIN given g ON a.id = g.id AND a.last_lease_token = g.lease_token
"""


def finished_before(tx: Tx, outcomes: Sequence[Outcome]) -> list[Moved]:
    """Those of the outcomes that were committed before, live and archived."""
    if not outcomes:
        return []
    params = {
        "ids": ids([outcome.job_id for outcome in outcomes]),
        "tokens": [outcome.lease_token for outcome in outcomes],
    }
    return [moved(row) for row in rows(tx, FINISHED_BEFORE, params)]
