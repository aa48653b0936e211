"""Somebody drops the database under load. Its last backup and its log lead to the moment before."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from deploy.drills.archived import ArchivedServer, archived_server, wait_s
from deploy.drills.load import Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform, running_platform
from deploy.drills.stage import Stage, until
from factory.embedded.valkey import EmbeddedValkey
from factory.store import servers

LOAD_S = 15.0


def drill(stage: Stage) -> Outcome:
    """RTO: from the drop to the first job that ends after it, submitted after it."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    try:
        with (
            archived_server(stage) as server,
            stage.provider() as provider,
            running_platform(stage, server.url, valkey.start(), provider) as platform,
        ):
            return drop_and_restore(stage, server, platform)
    finally:
        valkey.stop()


def drop_and_restore(
    stage: Stage, server: ArchivedServer, platform: Platform, *, with_log: bool = True
) -> Outcome:
    """Without the log only the backup's own moment can be had: what came later is lost."""
    settings = platform.rig.settings
    server.base(settings)
    with submitting(platform.clients) as load:
        wait_s(stage.seconds(LOAD_S))
        struck = time.monotonic()
        servers.drop_database(server.admin_url, "factory")
        server.archive_now()
        restored = stage.directory / "restored"
        if not with_log:
            shutil.rmtree(server.directory / "backups" / "wal")
        target = ("--before-drop",) if with_log else ()
        server.cli(settings, "backup", "restore", "latest", "--into", str(restored), *target)
        rto_s = come_back(server, platform, load, restored, struck)
    return platform.outcome(load, struck, rto_s)


def come_back(
    server: ArchivedServer, platform: Platform, load: Load, restored: Path, struck: float
) -> float:
    """The server runs on what was restored, the held jobs are released; seconds until a new job has ended."""
    settings = platform.rig.settings
    server.replace(restored)
    found = server.cli(settings, "db", "after-restore")
    assert found["held"], "a restored database must hold its jobs"
    server.cli(settings, "db", "after-restore", "--release")
    until(lambda: platform.rig.ended(load.since(struck)))
    return time.monotonic() - struck
