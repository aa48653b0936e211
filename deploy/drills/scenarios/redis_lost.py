"""The broker dies and its disk is gone: what it held are hints, and they go out again."""

from __future__ import annotations

import os
import shutil
import signal
import time

from redis import Redis

from deploy.drills.grounds import Archived, archived_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Broker, Stage, until

LOAD_S = 6.0
GROUND = archived_platform


def drill(stage: Stage, ground: Archived) -> Outcome:
    """RTO: from the broker's death to the end of a job that was submitted after it."""
    platform = ground.platform
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        struck = _lose(ground.broker)
        until(lambda: platform.rig.ended(load.since(struck)))
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)


def _lose(broker: Broker) -> float:
    """When it died; it is back, with nothing."""
    server = broker.server
    with Redis.from_url(broker.url) as client:
        pid = int(client.info("server")["process_id"])
    struck = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not server.running)
    server.stop()
    shutil.rmtree(server.directory / "appendonlydir")
    server.start()
    return struck
