"""Which queued jobs go out, and the rows of those that are out.

A row of `hints` stands while a job's hint is out; the claim deletes it. The table is as lossy as Redis: a crash of
Postgres empties it, and all hints go out again. Nothing here changes a state: a hint that is lost, doubled or stale
does no harm. What is out is few, and read whole; that a job is not out is a filter, never a join, so that no plan can
read the backlog. A dispatcher of before sets `jobs.published_at` in place of a row; both count. `store.lost_hints`
takes back what was lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from factory.domain.lanes import group_of, lanes_of
from factory.store.database import Tx, array, ids, rows
from factory.store.prepared import prepared_rows
from factory.store.quarantine import QUARANTINED, QUARANTINED_LANES
from factory.store.restores import HELD

# Reads an index that is as small as the windows, however deep the backlog.
IN_FLIGHT = f"""
SELECT lane, sum(jobs) AS jobs, sum(quarantined) AS quarantined
  FROM (SELECT lane, count(*) FILTER (WHERE NOT {QUARANTINED}) AS jobs,
               count(*) FILTER (WHERE {QUARANTINED}) AS quarantined
          FROM jobs
         WHERE state = 'running' OR (state = 'queued' AND published_at IS NOT NULL)
         GROUP BY lane
         UNION ALL
        SELECT lane, count(*) FILTER (WHERE NOT is_quarantined), count(*) FILTER (WHERE is_quarantined)
          FROM hints
         GROUP BY lane) parts
 GROUP BY lane
"""


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many of a lane's jobs run or are published; those in quarantine are counted apart."""

    jobs: int = 0
    quarantined: int = 0


# The lanes with work, by hopping from lane to lane along ix_jobs_due: the cost is one index probe a
# lane and not a scan of the backlog. https://wiki.postgresql.org/wiki/Loose_indexscan
# What is out stands first in a lane, so a job that is not out is looked for from the lane's end. Mostly the last one is
# not, and all that is out need not be read for it.
DUE_LANES = """
WITH RECURSIVE lanes AS (
    (SELECT lane FROM jobs WHERE state = 'queued' AND published_at IS NULL ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT j.lane FROM jobs j
             WHERE j.state = 'queued' AND j.published_at IS NULL AND j.lane > l.lane
             ORDER BY j.lane LIMIT 1)
      FROM lanes l WHERE l.lane IS NOT NULL
)
SELECT l.lane FROM lanes l CROSS JOIN LATERAL (
    SELECT id FROM jobs
     WHERE lane = l.lane AND state = 'queued' AND published_at IS NULL
     ORDER BY project_id DESC, run_at DESC, id DESC LIMIT 1) newest
 WHERE CASE WHEN coalesce((SELECT true FROM hints h WHERE h.lane = l.lane AND h.job_id = newest.id), false)
            THEN (SELECT true FROM jobs
                   WHERE lane = l.lane AND state = 'queued' AND published_at IS NULL
                     AND id NOT IN (SELECT job_id FROM hints)
                   ORDER BY project_id DESC, run_at DESC, id DESC LIMIT 1)
            ELSE true END
"""


# The live workers, by lanes and number of slots.
WORKERS = """
SELECT lanes, slots, count(*) AS workers FROM workers
 WHERE stopped_at IS NULL AND draining_at IS NULL AND slots > 0
   AND heartbeat_at > now() - make_interval(secs => %(lease_s)s)
 GROUP BY lanes, slots
"""


# One snapshot and one round trip: each end of a job causes a round of dispatch, and most find no room.
LOOK = f"""
SELECT (SELECT array_agg(lane) FROM ({DUE_LANES}) due) AS due,
       (SELECT jsonb_agg(jsonb_build_array(lanes, slots, workers)) FROM ({WORKERS}) live) AS workers,
       (SELECT jsonb_object_agg(lane, jsonb_build_array(jobs, quarantined))
          FROM ({IN_FLIGHT}) out) AS in_flight,
       {HELD} AS held,
       (SELECT array_agg(lane) FROM ({QUARANTINED_LANES}) quarantined) AS quarantined_lanes
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a round of dispatch decides by."""

    due: Sequence[str]
    """Lanes that have unpublished queued jobs, due or not, by name."""
    workers: Mapping[str, Mapping[int, int]]
    """Live workers that serve a lane, by their number of slots. A worker counts in each of its lanes."""
    in_flight: Mapping[str, InFlight]
    quarantined_lanes: Sequence[str]
    """Lanes with quarantined jobs to publish: mostly none."""
    held: bool = False
    """The database was restored from a backup, and nobody has decided about its jobs: nothing may go out."""


def look(tx: Tx, lease_s: float) -> Look:
    """Reads all of it at one moment."""
    [found] = prepared_rows(tx, "look", LOOK, {"lease_s": lease_s})
    in_flight = {lane: InFlight(*counts) for lane, counts in (found.in_flight or {}).items()}
    workers: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for lanes, slots, count in found.workers or ():
        for lane in lanes:
            workers[lane][slots] += count
    return Look(found.due or (), workers, in_flight, found.quarantined_lanes or (), found.held)


# The jobs of a lane that go next.
#
# Fairness: projects with work are found by a loose index scan, and each offers its oldest jobs. A job's turn is its
# place among its project's jobs, counted after those in flight. So a project with 10,000 jobs and one with a single
# job both get their first turn first, and all projects fill up to the same level. A project offers no more than it
# lacks to that level, so a round reads one window and not a window per project. What a project cannot use of its
# share goes to others in the next round.
#
# Limits: `free` jobs may belong to any project, as long as all lanes of the group then hold at most `full`. Jobs
# beyond that may only go to projects that then hold at most `few` in the group. What the group holds is counted
# under the group's lock; otherwise two dispatchers would fill it twice.
#
# No job is locked: one that is claimed or ended meanwhile has a stale hint. Jobs in quarantine are published apart.
PUBLISH = f"""
WITH RECURSIVE owners AS (
    (SELECT project_id FROM jobs
      WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND NOT {QUARANTINED}
      ORDER BY project_id, run_at, id LIMIT 1)
    UNION ALL
    SELECT next.project_id FROM owners o CROSS JOIN LATERAL (
         SELECT project_id FROM jobs
          WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND NOT {QUARANTINED}
            AND project_id > o.project_id
          ORDER BY project_id, run_at, id LIMIT 1) next
), wanting AS (
    SELECT o.project_id FROM owners o CROSS JOIN LATERAL (
         SELECT id FROM jobs
          WHERE lane = %(lane)s AND project_id = o.project_id AND state = 'queued'
            AND published_at IS NULL AND NOT {QUARANTINED} AND run_at <= now()
          ORDER BY run_at DESC, id DESC LIMIT 1) newest
     WHERE CASE WHEN coalesce((SELECT true FROM hints h WHERE h.lane = %(lane)s AND h.job_id = newest.id), false)
                THEN (SELECT true FROM jobs
                       WHERE lane = %(lane)s AND project_id = o.project_id AND state = 'queued'
                         AND published_at IS NULL AND NOT {QUARANTINED} AND run_at <= now()
                         AND id NOT IN (SELECT job_id FROM hints WHERE lane = %(lane)s)
                       ORDER BY run_at DESC, id DESC LIMIT 1)
                ELSE true END
), busy AS (
    SELECT project_id, sum(jobs) AS jobs, sum(held) AS held
      FROM (SELECT project_id, count(*) FILTER (WHERE lane = %(lane)s) AS jobs, count(*) AS held
              FROM jobs
             WHERE lane = ANY(CAST(%(lanes)s AS text[])) AND NOT {QUARANTINED}
               AND (state = 'running' OR (state = 'queued' AND published_at IS NOT NULL))
             GROUP BY project_id
             UNION ALL
            SELECT project_id, count(*) FILTER (WHERE lane = %(lane)s), count(*)
              FROM hints
             WHERE lane = ANY(CAST(%(lanes)s AS text[])) AND NOT is_quarantined
             GROUP BY project_id) parts
     GROUP BY project_id
), room AS (
    SELECT greatest(least(CAST(%(free)s AS bigint), CAST(%(full)s AS bigint) - coalesce(sum(held), 0)), 0)::bigint
               AS free
      FROM busy
), poorest AS (
    SELECT w.project_id, coalesce(b.jobs, 0)::bigint AS jobs,
           greatest(CAST(%(few)s AS bigint) - coalesce(b.held, 0), 0)::bigint AS few,
           row_number() OVER by_jobs AS projects, sum(coalesce(b.jobs, 0)) OVER by_jobs AS held
      FROM wanting w LEFT JOIN busy b ON b.project_id = w.project_id
     WHERE (SELECT free FROM room) > 0 OR coalesce(b.held, 0) < CAST(%(few)s AS bigint)
    WINDOW by_jobs AS (ORDER BY coalesce(b.jobs, 0), w.project_id)
), level AS (
    SELECT ceil(min((held + CAST(%(window)s AS bigint)) / projects))::bigint AS jobs FROM poorest
), candidates AS (
    SELECT d.id, p.project_id, d.run_at, d.publishes,
           row_number() OVER (PARTITION BY p.project_id ORDER BY d.run_at, d.id) AS place, p.jobs, p.few
      FROM poorest p
     CROSS JOIN LATERAL (
          SELECT id, run_at, publishes FROM jobs
           WHERE lane = %(lane)s AND project_id = p.project_id AND state = 'queued'
             AND published_at IS NULL AND NOT {QUARANTINED} AND run_at <= now()
             AND id NOT IN (SELECT job_id FROM hints WHERE lane = %(lane)s)
           ORDER BY run_at, id
           LIMIT greatest(least((SELECT jobs FROM level) - p.jobs,
                                greatest(p.few, (SELECT free FROM room))), 0)) d
), in_turn AS (
    SELECT id, project_id, run_at, publishes, jobs + place AS turn, place <= few AS is_few,
           row_number() OVER (ORDER BY jobs + place, run_at, id) AS place
      FROM candidates
), allowed AS (
    SELECT id, project_id, run_at, publishes, turn FROM in_turn
     WHERE is_few OR place <= (SELECT free FROM room)
     ORDER BY turn, run_at, id LIMIT CAST(%(window)s AS bigint)
), marked AS (
    INSERT INTO hints (lane, job_id, project_id, is_quarantined, publishes, published_at)
    SELECT %(lane)s, id, project_id, false, least(publishes + 1, 20), now() FROM allowed ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING job_id
)
SELECT id FROM allowed WHERE id IN (SELECT job_id FROM marked) ORDER BY turn, run_at, id
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs may go out of a project that holds more than `few` in the lane's group."""

    free: int
    full: int
    """What all projects together may hold in the group."""
    few: int


ANY = Limits(2**31, 2**31, 0)
"""As many as there are."""

# Without waiting for an fsync: a row that is lost in a crash of Postgres lets its hint go out again, which does no
# harm. Sent in one round trip, and one transaction, with the statement.
WITHOUT_FSYNC = "SET LOCAL synchronous_commit = off;"

# One dispatcher per group at a time, so that each sees the rows of the one before. Sent in the same round trip.
TURN = "SELECT pg_advisory_xact_lock(7246175, hashtext(%(group)s));"


def publish(tx: Tx, lane: str, window: int, limits: Limits = ANY) -> list[UUID]:
    """Marks at most `window` due jobs of the lane as published and gives them in order of turn.

    Its commit, and so any other write of the same transaction, may be lost when Postgres crashes.
    """
    params = {"group": group_of(lane)} | publish_params(lane, window, limits)
    found = prepared_rows(tx, "publish", PUBLISH, params, before=WITHOUT_FSYNC + TURN)
    return [row.id for row in found]


def publish_params(lane: str, window: int, limits: Limits = ANY) -> dict[str, Any]:
    """What PUBLISH wants to know."""
    lanes = array(lanes_of(group_of(lane)))
    return {"lane": lane, "lanes": lanes, "window": window, **asdict(limits)}


PROVIDERS = "SELECT id, provider FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))"


def providers(tx: Tx, job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The jobs' providers."""
    return {row.id: row.provider for row in rows(tx, PROVIDERS, {"ids": ids(job_ids)})}
