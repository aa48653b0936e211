"""Which queued jobs to publish, and the marks on those that were.

`published_at` is set while a job's hint is out; a claim or any other move clears it. Nothing here changes a state: a
hint that is lost, doubled or stale does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from factory.domain.lanes import group_of, lanes_of
from factory.store.database import Tx, ids, rows, run
from factory.store.prepared import prepared_rows
from factory.store.quarantine import QUARANTINED, QUARANTINED_LANES
from factory.store.restores import HELD

FIRST_PATIENCE_S = 10
LONGEST_PATIENCE_S = 300
"""How long a hint may stay unclaimed before it counts as lost: doubled with each publish."""

# Reads an index that is as small as the windows, however deep the backlog.
IN_FLIGHT = f"""
SELECT lane, count(*) FILTER (WHERE NOT {QUARANTINED}) AS jobs,
       count(*) FILTER (WHERE {QUARANTINED}) AS quarantined
  FROM jobs
 WHERE state = 'running' OR (state = 'queued' AND published_at IS NOT NULL)
 GROUP BY lane
"""


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many of a lane's jobs run or are published; those in quarantine are counted apart."""

    jobs: int = 0
    quarantined: int = 0


# The lanes with work, by hopping from lane to lane along ix_jobs_due: the cost is one index probe a
# lane and not a scan of the backlog. https://wiki.postgresql.org/wiki/Loose_indexscan
DUE_LANES = """
WITH RECURSIVE lanes AS (
    (SELECT lane FROM jobs WHERE state = 'queued' AND published_at IS NULL ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT j.lane FROM jobs j
             WHERE j.state = 'queued' AND j.published_at IS NULL AND j.lane > l.lane
             ORDER BY j.lane LIMIT 1)
      FROM lanes l WHERE l.lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL
"""


# The live workers that serve a lane, by their number of slots.
WORKERS = """
SELECT lane, jsonb_object_agg(slots, workers) AS sizes
  FROM (SELECT lane, slots, count(*) AS workers FROM workers, unnest(lanes) AS lane
         WHERE stopped_at IS NULL AND draining_at IS NULL AND slots > 0
           AND heartbeat_at > now() - make_interval(secs => %(lease_s)s)
         GROUP BY lane, slots) live
 GROUP BY lane
"""


# One snapshot and one round trip: each end of a job causes a round of dispatch, and most find no room.
LOOK = f"""
SELECT (SELECT array_agg(lane) FROM ({DUE_LANES}) due) AS due,
       (SELECT jsonb_object_agg(lane, sizes) FROM ({WORKERS}) serving) AS workers,
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
    workers = {
        lane: {int(slots): count for slots, count in sizes.items()}
        for lane, sizes in (found.workers or {}).items()
    }
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
# SKIP LOCKED lets two dispatchers pick different jobs at the same moment. CASE keeps the planner from the index of
# due jobs: with statistics from before a large bulk it chose that, and read the whole backlog instead of a window
# by primary key. Jobs in quarantine are published apart.
PUBLISH = f"""
WITH RECURSIVE owners AS (
    (SELECT project_id, run_at FROM jobs
      WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND NOT {QUARANTINED}
      ORDER BY project_id, run_at, id LIMIT 1)
    UNION ALL
    SELECT next.project_id, next.run_at FROM owners o CROSS JOIN LATERAL (
         SELECT project_id, run_at FROM jobs
          WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND NOT {QUARANTINED}
            AND project_id > o.project_id
          ORDER BY project_id, run_at, id LIMIT 1) next
), busy AS (
    SELECT project_id, count(*) FILTER (WHERE lane = %(lane)s) AS jobs, count(*) AS held FROM jobs
     WHERE lane = ANY(%(lanes)s) AND NOT {QUARANTINED}
       AND (state = 'running' OR (state = 'queued' AND published_at IS NOT NULL))
     GROUP BY project_id
), room AS (
    SELECT greatest(least(%(free)s, %(full)s - coalesce(sum(held), 0)), 0)::bigint AS free FROM busy
), poorest AS (
    SELECT o.project_id, coalesce(b.jobs, 0) AS jobs, greatest(%(few)s - coalesce(b.held, 0), 0) AS few,
           row_number() OVER by_jobs AS projects, sum(coalesce(b.jobs, 0)) OVER by_jobs AS held
      FROM owners o LEFT JOIN busy b ON b.project_id = o.project_id
     WHERE o.run_at <= now() AND ((SELECT free FROM room) > 0 OR coalesce(b.held, 0) < %(few)s)
    WINDOW by_jobs AS (ORDER BY coalesce(b.jobs, 0), o.project_id)
), level AS (
    SELECT ceil(min((held + %(window)s) / projects))::bigint AS jobs FROM poorest
), candidates AS (
    SELECT d.id, d.run_at,
           row_number() OVER (PARTITION BY p.project_id ORDER BY d.run_at, d.id) AS place, p.jobs, p.few
      FROM poorest p
     CROSS JOIN LATERAL (
          SELECT id, run_at FROM jobs
           WHERE lane = %(lane)s AND project_id = p.project_id AND state = 'queued'
             AND published_at IS NULL AND NOT {QUARANTINED} AND run_at <= now()
           ORDER BY run_at, id
           LIMIT greatest(least((SELECT jobs FROM level) - p.jobs,
                                greatest(p.few, (SELECT free FROM room))), 0)) d
), in_turn AS (
    SELECT id, run_at, jobs + place AS turn, place <= few AS is_few,
           row_number() OVER (ORDER BY jobs + place, run_at, id) AS place
      FROM candidates
), allowed AS (
    SELECT id, run_at, turn FROM in_turn WHERE is_few OR place <= (SELECT free FROM room)
     ORDER BY turn, run_at, id LIMIT %(window)s
), chosen AS (
    SELECT j.id, c.turn, c.run_at FROM jobs j JOIN allowed c ON c.id = j.id
     WHERE CASE WHEN j.state = 'queued' AND j.published_at IS NULL THEN true END
       FOR UPDATE OF j SKIP LOCKED
), marked AS (
    UPDATE jobs j SET published_at = now(), publishes = least(j.publishes + 1, 20)
      FROM chosen c WHERE j.id = c.id
    RETURNING j.id, c.turn, c.run_at
)
SELECT id FROM marked ORDER BY turn, run_at, id
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

# Without waiting for an fsync: a mark that is lost in a crash of Postgres lets its hint go out again, which does no
# harm. Sent in one round trip, and one transaction, with the statement.
WITHOUT_FSYNC = "SET LOCAL synchronous_commit = off;"

# One dispatcher per group at a time, so that each sees the marks of the one before. Sent in the same round trip.
TURN = "SELECT pg_advisory_xact_lock(7246175, hashtext(%(group)s));"


def publish(tx: Tx, lane: str, window: int, limits: Limits = ANY) -> list[UUID]:
    """Marks at most `window` due jobs of the lane as published and gives them in order of turn.

    Its commit, and so any other write of the same transaction, may be lost when Postgres crashes.
    """
    statement = WITHOUT_FSYNC + TURN + PUBLISH
    params = {"group": group_of(lane)} | publish_params(lane, window, limits)
    return [row.id for row in rows(tx, statement, params)]


def publish_params(lane: str, window: int, limits: Limits = ANY) -> dict[str, Any]:
    """What PUBLISH wants to know."""
    lanes = list(lanes_of(group_of(lane)))
    return {"lane": lane, "lanes": lanes, "window": window, **asdict(limits)}


PROVIDERS = "SELECT id, provider FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))"


def providers(tx: Tx, job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The jobs' providers."""
    return {row.id: row.provider for row in rows(tx, PROVIDERS, {"ids": ids(job_ids)})}


# Rows are locked in the order in which claims lock them.
UNPUBLISH = """
UPDATE jobs SET published_at = NULL
 WHERE id IN (
    SELECT id FROM jobs
     WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'queued' AND published_at IS NOT NULL
     ORDER BY id FOR UPDATE)
"""


def unpublish(tx: Tx, job_ids: Sequence[UUID]) -> int:
    """Takes the marks back from jobs whose hints were not sent."""
    return run(tx, UNPUBLISH, {"ids": ids(job_ids)})


LOST = """
UPDATE jobs SET published_at = NULL
 WHERE id IN (
    SELECT id FROM jobs
     WHERE state = 'queued' AND published_at < now() - make_interval(secs => %(first)s)
       AND published_at < now() - make_interval(
               secs => least(%(longest)s, %(first)s * power(2, publishes - 1)))
     LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


def forget_lost(tx: Tx) -> int:
    """Lets hints that nobody claimed in time be published again; gives how many."""
    return run(tx, LOST, {"first": FIRST_PATIENCE_S, "longest": LONGEST_PATIENCE_S})


# The messages that a worker had fetched are lost with it. It may have fetched until one beat after its last heartbeat,
# so all hints of its lanes that went out before that are published again; doubled ones do no harm. They then have a
# later `published_at`, so each death counts once. Earlier deaths are covered by `forget_lost`.
FETCHED = """
UPDATE jobs SET published_at = NULL, publishes = 0
 WHERE id IN (
    SELECT j.id
      FROM jobs j
      JOIN (SELECT lane, max(heartbeat_at) + make_interval(secs => %(lease_s)s / 3) AS died_at
              FROM workers, unnest(lanes) AS lane
             WHERE stopped_at IS NULL
               AND heartbeat_at < now() - make_interval(secs => %(lease_s)s)
               AND heartbeat_at > now() - make_interval(secs => %(lease_s)s + 60)
             GROUP BY lane) dead ON dead.lane = j.lane
     WHERE j.state = 'queued' AND j.published_at IS NOT NULL AND j.published_at < dead.died_at
       FOR UPDATE OF j SKIP LOCKED)
"""


def forget_fetched(tx: Tx, lease_s: float) -> int:
    """Lets hints go out again that silent workers may have fetched; gives how many."""
    return run(tx, FETCHED, {"lease_s": lease_s})


OF_LANES = """
UPDATE jobs SET published_at = NULL, publishes = 0
 WHERE id IN (
    SELECT id FROM jobs
     WHERE state = 'queued' AND published_at IS NOT NULL AND lane = ANY(%(lanes)s)
       FOR UPDATE SKIP LOCKED)
"""


def forget_of_lanes(tx: Tx, lanes: Iterable[str]) -> int:
    """Lets the hints of lanes go out again whose worker is gone, and with it what it had fetched; gives how many."""
    return run(tx, OF_LANES, {"lanes": sorted(lanes)})


FORGET_ALL = """
UPDATE jobs SET published_at = NULL, publishes = 0
 WHERE id IN (
    SELECT id FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL ORDER BY id FOR UPDATE)
"""


def forget_all(tx: Tx) -> int:
    """Lets all hints go out again: the broker is new or was emptied; gives how many."""
    return run(tx, FORGET_ALL)
