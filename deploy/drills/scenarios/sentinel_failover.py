"""The broker's master dies together with one of three Sentinels; a replica takes over."""

from __future__ import annotations

import time

from deploy.drills.archived import wait_s
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import running_platform
from deploy.drills.stage import Stage, until
from factory.embedded.postgres import EmbeddedPostgres
from factory.store.migrate import upgrade
from tests.integration.reliability.sentinels import running_group

LOAD_S = 6.0


def drill(stage: Stage) -> Outcome:
    """RTO: from the master's death to the end of a job that was submitted after it."""
    postgres = EmbeddedPostgres(stage.directory / "postgres")
    try:
        database_url = postgres.start()
        upgrade(database_url)
        with (
            running_group(stage.directory / "redis") as group,
            stage.provider() as provider,
            running_platform(stage, database_url, group.url, provider) as platform,
        ):
            with submitting(platform.clients) as load:
                wait_s(stage.seconds(LOAD_S))
                struck, master = time.monotonic(), group.master()
                master.process.kill()
                group.sentinels[0].process.kill()
                until(lambda: platform.rig.ended(load.since(struck)))
                rto_s = time.monotonic() - struck
            return platform.outcome(load, struck, rto_s)
    finally:
        postgres.stop()
