"""What holds for all jobs together: who sees them, and that dispatch finds them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from factory.services import Services
from factory.store import hints, keys, lost_hints, projects, quarantine
from factory.store import jobs as stored_jobs
from factory.store.database import Tx, run
from factory.store.jobs import JobView
from factory.store.listing import Filter, find

MOST = 1000
# Whatever is waited for has come: each job's time, and the end of all patience with its hint.
WAIT = """
WITH waited AS (UPDATE hints SET published_at = published_at - interval '1 day')
UPDATE jobs SET run_at = least(run_at, now()) WHERE state = 'queued'
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """A project, and the key that opens it."""

    project_id: UUID
    key: str


def given_owner(services: Services, name: str) -> Owner:
    """A new project with a key."""
    with services.database.transaction() as tx:
        project = projects.ensure(tx, name)
        key = keys.create(tx, services.settings.secret_key, project.id, "test", ["jobs"])
    return Owner(project.id, key)


def seen_with(services: Services, key: str, job_ids: Collection[UUID]) -> list[JobView]:
    """What the key's holder finds: the whole list, and of these jobs each one that can be read."""
    with services.database.transaction() as tx:
        holder = keys.verify(tx, services.settings.secret_key, key)
        assert holder
        listed = find(tx, holder.project_id, Filter(), limit=MOST, after=None)
        read = stored_jobs.get_all(tx, [(holder.project_id, job_id) for job_id in job_ids])
    read_ids = {job.id for job in read if job}
    assert read_ids == {job.id for job in listed}.intersection(job_ids)
    return listed


def dispatchable(services: Services) -> set[UUID]:
    """Every job that dispatch and its search for lost hints would send out in time. Nothing is changed."""
    with services.database.engine.connect() as tx:
        found = _publish_all(tx)
        tx.rollback()
    return found


def _publish_all(tx: Tx) -> set[UUID]:
    run(tx, WAIT)
    lost_hints.forget_stale(tx)
    lost_hints.forget_lost(tx)
    return {
        job_id
        for lane in hints.look(tx, 15.0).due
        for job_id in [*hints.publish(tx, lane, MOST), *quarantine.publish(tx, lane, MOST)]
    }
