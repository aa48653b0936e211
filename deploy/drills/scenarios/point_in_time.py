"""A statement that nobody meant deletes all jobs. The database is made as it was just before."""

from __future__ import annotations

import time
from contextlib import suppress
from uuid import UUID

from deploy.drills.archived import ArchivedServer, archived_server, database_now, wait_s
from deploy.drills.load import Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform, running_platform
from deploy.drills.scenarios.dropped_database import come_back
from deploy.drills.stage import Stage
from factory.embedded.valkey import EmbeddedValkey
from factory.errors import Unavailable
from factory.store.database import ids, rows, run

LOAD_S, NOTICED_S = 12.0, 3.0
TRIES = 10
DELETE = "DELETE FROM job_payloads; DELETE FROM job_results; DELETE FROM jobs"
KNOWN = "SELECT id FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))"


def drill(stage: Stage) -> Outcome:
    """Lost: jobs accepted before the moment that was asked for. What came later is given up, and is the RPO."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    try:
        with (
            archived_server(stage) as server,
            stage.provider() as provider,
            running_platform(stage, server.url, valkey.start(), provider) as platform,
        ):
            return _delete_and_restore(stage, server, platform)
    finally:
        valkey.stop()


def _delete_and_restore(stage: Stage, server: ArchivedServer, platform: Platform) -> Outcome:
    settings = platform.rig.settings
    server.base(settings)
    with submitting(platform.clients) as load:
        wait_s(stage.seconds(LOAD_S))
        moment, at = _delete_all(server, platform)
        wait_s(NOTICED_S)
        struck = time.monotonic()
        server.archive_now()
        restored = stage.directory / "restored"
        server.cli(settings, "backup", "restore", "latest", "--into", str(restored), "--at", moment)
        rto_s = come_back(server, platform, load, restored, struck)
    lost = len(_missing(platform, load, at))
    return Outcome(rto_s, struck - at, lost, counted=len(load.before(at)))


def _delete_all(server: ArchivedServer, platform: Platform) -> tuple[str, float]:
    """The moment just before, by the database's clock and by ours. Other work goes on, so a deadlock may end a try."""
    for _ in range(TRIES):
        moment, at = database_now(server.url), time.monotonic()
        with suppress(Unavailable), platform.rig.services.database.transaction() as tx:
            run(tx, DELETE)
            return moment, at
    raise TimeoutError(f"all {TRIES} statements that should delete all jobs met a deadlock")


def _missing(platform: Platform, load: Load, at: float) -> set[UUID]:
    wanted = load.before(at)
    with platform.rig.services.database.transaction() as tx:
        found = {row.id for row in rows(tx, KNOWN, {"ids": ids(wanted)})}
    return set(wanted) - found
