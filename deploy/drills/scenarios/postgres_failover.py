"""Postgres' primary dies at once; its synchronous standby is promoted."""

from __future__ import annotations

import time

from deploy.drills.grounds import Replicated, replicated_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage, until

LOAD_S = 6.0
GROUND = replicated_platform


def drill(stage: Stage, ground: Replicated) -> Outcome:
    """RTO: from the primary's death, with the promotion, to the end of a job that was submitted after it."""
    platform = ground.platform
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        struck = time.monotonic()
        ground.pair.fail_over()
        until(lambda: platform.rig.ended(load.since(struck)))
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)
