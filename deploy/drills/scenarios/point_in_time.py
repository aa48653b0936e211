"""A statement that nobody meant deletes all jobs. The database is made as it was just before."""

from __future__ import annotations

import time
from uuid import UUID

from deploy.drills.archived import ArchivedServer
from deploy.drills.grounds import Archived, archived_platform
from deploy.drills.load import Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform
from deploy.drills.scenarios.dropped_database import come_back
from deploy.drills.stage import Stage, persist
from factory.domain.principal import PLATFORM
from factory.store.database import ids, rows, run

LOAD_S, NOTICED_S = 12.0, 3.0
DELETE = (
    "DELETE FROM job_requests; DELETE FROM job_outcomes; DELETE FROM jobs; DELETE FROM jobs_archive"
)
KNOWN = """
SELECT id FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))
 UNION ALL
SELECT id FROM jobs_archive WHERE id = ANY(CAST(%(ids)s AS uuid[]))
"""
GROUND = archived_platform
SPENDS_GROUND = True
"""Nobody waits for the jobs that came while the database was restored: they would wait with the next drill's."""


def drill(stage: Stage, ground: Archived) -> Outcome:
    """Lost: jobs accepted before the moment that was asked for. What came later is given up, and is the RPO."""
    server, platform = ground.server, ground.platform
    settings = platform.rig.settings
    server.base(settings)
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        at, moment = persist(lambda: _delete_all(server, platform))
        load.go_on(stage.seconds(NOTICED_S))
        struck = time.monotonic()
        server.archive_now()
        restored = stage.directory / "restored"
        server.cli(settings, "backup", "restore", "latest", "--into", str(restored), "--at", moment)
        come_back(server, platform, load, restored, struck)
        rto_s = time.monotonic() - struck
    lost = len(persist(lambda: _missing(platform, load, at)))
    return Outcome(rto_s, struck - at, lost, counted=len(load.before(at)))


def _delete_all(server: ArchivedServer, platform: Platform) -> tuple[float, str]:
    """The moment just before, by our clock and by the database's: what was accepted by then is in what is restored."""
    at, moment = time.monotonic(), server.now()
    with platform.rig.services.database.transaction(PLATFORM) as tx:
        run(tx, DELETE)
    return at, moment


def _missing(platform: Platform, load: Load, at: float) -> set[UUID]:
    wanted = load.before(at)
    with platform.rig.services.database.transaction(PLATFORM) as tx:
        found = {row.id for row in rows(tx, KNOWN, {"ids": ids(wanted)})}
    return set(wanted) - found
