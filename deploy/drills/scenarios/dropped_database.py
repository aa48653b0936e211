"""Somebody drops the database under load. Its last backup and its log lead to the moment before."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from deploy.drills.archived import DATABASE, ArchivedServer
from deploy.drills.grounds import Archived, archived_platform
from deploy.drills.load import Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform
from deploy.drills.stage import Stage, persist, until
from factory.store import servers

LOAD_S = 15.0
GROUND = archived_platform


def drill(stage: Stage, ground: Archived, *, with_log: bool = True) -> Outcome:
    """RTO: from the drop to the first job that ends after it, submitted after it.

    Without the log only the backup's own moment can be had: what came later is lost.
    """
    server, platform = ground.server, ground.platform
    settings = platform.rig.settings
    server.base(settings)
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        struck = persist(lambda: _drop(server))
        gone = time.monotonic()
        server.archive_now()
        restored = stage.directory / "restored"
        if not with_log:
            shutil.rmtree(server.directory / "backups" / "wal")
        target = ("--before-drop",) if with_log else ()
        server.cli(settings, "backup", "restore", "latest", "--into", str(restored), *target)
        come_back(server, platform, load, restored, gone)
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)


def _drop(server: ArchivedServer) -> float:
    """Just before. Postgres refuses while a session takes its time to end."""
    struck = time.monotonic()
    servers.drop_database(server.admin_url, DATABASE)
    return struck


def come_back(
    server: ArchivedServer, platform: Platform, load: Load, restored: Path, gone: float
) -> None:
    """The server runs on what was restored, and the held jobs are released; until a job ends that came after `gone`."""
    settings = platform.rig.settings
    server.replace(restored)
    found = server.cli(settings, "db", "after-restore")
    assert found["held"], "a restored database must hold its jobs"
    server.cli(settings, "db", "after-restore", "--release")
    until(lambda: platform.rig.ended(load.since(gone)))
