"""Every gateway behind nginx is replaced, one after the other, while clients that try nothing twice submit."""

from __future__ import annotations

import time

from deploy.drills.grounds import Fronted, fronted_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Gateway, start_gateway
from deploy.drills.stage import Stage

LOAD_S = 3.0
GROUND = fronted_platform


def drill(stage: Stage, ground: Fronted) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long the update takes. Lost: requests that failed."""

    def start(port: int) -> Gateway:
        return start_gateway(ground.platform.rig, port)

    with submitting(ground.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        started = time.monotonic()
        ground.front.replace_all(start)
        took_s = time.monotonic() - started
        load.go_on(stage.seconds(LOAD_S))
    return ground.platform.uninterrupted(load, started, took_s)
