"""Postgres' primary dies at once; its synchronous standby is promoted."""

from __future__ import annotations

import time

from deploy.drills.archived import wait_s
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import running_platform
from deploy.drills.stage import Stage, until
from factory.embedded.valkey import EmbeddedValkey
from tests.integration.reliability.replica import running_pair

LOAD_S = 6.0


def drill(stage: Stage) -> Outcome:
    """RTO: from the primary's death, with the promotion, to the end of a job that was submitted after it."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    try:
        with (
            running_pair(stage.directory) as pair,
            stage.provider() as provider,
            running_platform(stage, pair.url, valkey.start(), provider) as platform,
        ):
            with submitting(platform.clients) as load:
                wait_s(stage.seconds(LOAD_S))
                struck = time.monotonic()
                pair.fail_over()
                until(lambda: platform.rig.ended(load.since(struck)))
                rto_s = time.monotonic() - struck
            return platform.outcome(load, struck, rto_s)
    finally:
        valkey.stop()
