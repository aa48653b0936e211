"""The broker's master dies together with one of three Sentinels; a replica takes over."""

from __future__ import annotations

import time

from deploy.drills.grounds import Replicated, replicated_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage, until

LOAD_S = 6.0
GROUND = replicated_platform


def drill(stage: Stage, ground: Replicated) -> Outcome:
    """RTO: from the master's death to the end of a job that was submitted after it."""
    platform, group = ground.platform, ground.group
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        master = group.master()
        struck = time.monotonic()
        master.process.kill()
        group.sentinels[0].process.kill()
        until(lambda: platform.rig.ended(load.since(struck)))
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)
