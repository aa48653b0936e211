"""Takes hints back, so that their jobs go out again: what was not sent, was lost, or died with who had it.

Rows of `hints` that another transaction holds are passed over: it claims the job or takes back the hint itself. So who
takes hints back waits for nobody, and no claim waits for long. Each statement on `hints` has one beside it for the marks
of a dispatcher of before, in `jobs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from factory.store.database import Tx, ids, rows, run

FIRST_PATIENCE_S = 10
LONGEST_PATIENCE_S = 300
"""How long a hint may stay unclaimed before it counts as lost: doubled with each publish."""


def _deleting(which: str) -> str:
    """Deletes the rows of `hints h` that `which` names. What it joins must be small."""
    return f"""
DELETE FROM hints WHERE (lane, job_id) IN (
    SELECT h.lane, h.job_id FROM hints h {which} FOR UPDATE OF h SKIP LOCKED)
"""


def _unmarking(which: str) -> str:
    """Clears the marks of a dispatcher of before on the `jobs h` that `which` names."""
    return f"""
UPDATE jobs SET published_at = NULL, publishes = 0
 WHERE id IN (
    SELECT h.id FROM jobs h {which} AND h.state = 'queued' AND h.published_at IS NOT NULL
       FOR UPDATE OF h SKIP LOCKED)
"""


UNPUBLISH = _deleting("WHERE h.lane = %(lane)s AND h.job_id = ANY(CAST(%(ids)s AS uuid[]))")


def unpublish(tx: Tx, lane: str, job_ids: Sequence[UUID]) -> int:
    """Takes back the hints of the lane's jobs that were not sent."""
    return run(tx, UNPUBLISH, {"lane": lane, "ids": ids(job_ids)})


# Only then is a job's row written: its patience must outlive the hint.
PATIENCE = """
h.published_at < now() - make_interval(secs => %(first)s)
   AND h.published_at < now() - make_interval(secs => least(%(longest)s, %(first)s * power(2, h.publishes - 1)))
"""
LOST = f"""
WITH lost AS (
    DELETE FROM hints WHERE (lane, job_id) IN (
        SELECT h.lane, h.job_id FROM hints h WHERE {PATIENCE} LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING job_id, publishes
), known AS MATERIALIZED (
    SELECT j.id, l.publishes FROM lost l CROSS JOIN LATERAL (
         SELECT id FROM jobs WHERE id = l.job_id AND state = 'queued' FOR UPDATE SKIP LOCKED) j
), patient AS (
    UPDATE jobs j SET publishes = k.publishes FROM known k WHERE j.id = k.id
)
SELECT count(*) AS jobs FROM lost
"""
LOST_MARKS = f"""
UPDATE jobs SET published_at = NULL
 WHERE id IN (
    SELECT h.id FROM jobs h
     WHERE h.state = 'queued' AND {PATIENCE}
     LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


def forget_lost(tx: Tx) -> int:
    """Lets hints that nobody claimed in time be published again; gives how many."""
    params = {"first": FIRST_PATIENCE_S, "longest": LONGEST_PATIENCE_S}
    return int(rows(tx, LOST, params)[0].jobs) + run(tx, LOST_MARKS, params)


# The messages that a worker had fetched are lost with it. It may have fetched until one beat after its last heartbeat,
# so all hints of its lanes that went out before that are published again; doubled ones do no harm. They then have a
# later `published_at`, so each death counts once. Earlier deaths are covered by `forget_lost`.
DEAD = """
  JOIN (SELECT lane, max(heartbeat_at) + make_interval(secs => %(lease_s)s / 3) AS died_at
          FROM workers, unnest(lanes) AS lane
         WHERE stopped_at IS NULL
           AND heartbeat_at < now() - make_interval(secs => %(lease_s)s)
           AND heartbeat_at > now() - make_interval(secs => %(lease_s)s + 60)
         GROUP BY lane) dead ON dead.lane = h.lane
 WHERE h.published_at < dead.died_at
"""
FETCHED = _deleting(DEAD)
FETCHED_MARKS = _unmarking(DEAD)


def forget_fetched(tx: Tx, lease_s: float) -> int:
    """Lets hints go out again that silent workers may have fetched; gives how many."""
    return _run_both(tx, FETCHED, FETCHED_MARKS, {"lease_s": lease_s})


OF_LANES = _deleting("WHERE h.lane = ANY(%(lanes)s)")
MARKS_OF_LANES = _unmarking("WHERE h.lane = ANY(%(lanes)s)")


def forget_of_lanes(tx: Tx, lanes: Iterable[str]) -> int:
    """Lets the hints of lanes go out again whose worker is gone, and with it what it had fetched; gives how many."""
    return _run_both(tx, OF_LANES, MARKS_OF_LANES, {"lanes": sorted(lanes)})


ALL = _deleting("")
ALL_MARKS = _unmarking("WHERE true")


def forget_all(tx: Tx) -> int:
    """Lets all hints go out again: the broker is new or was emptied; gives how many."""
    return _run_both(tx, ALL, ALL_MARKS, {})


def _run_both(tx: Tx, hints: str, marks: str, params: Mapping[str, Any]) -> int:
    return run(tx, hints, params) + run(tx, marks, params)


# A job that a worker of before has claimed, that was ended while it was out, or whose hint went out as it was claimed.
# It counts as in flight once too often. LIMIT keeps each look at `jobs` a probe.
STALE = _deleting(
    """
  LEFT JOIN LATERAL (SELECT state, started_at FROM jobs WHERE id = h.job_id LIMIT 1) j ON true
 WHERE j.state IS DISTINCT FROM 'queued' OR j.started_at > h.published_at
"""
)


def forget_stale(tx: Tx) -> int:
    """Deletes hints that were claimed or are of no use; gives how many."""
    return run(tx, STALE)
