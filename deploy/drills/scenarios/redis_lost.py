"""The broker dies and its disk is gone: what it held are hints, and they go out again."""

from __future__ import annotations

import os
import shutil
import signal
import time

from redis import Redis

from deploy.drills.archived import wait_s
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import running_platform
from deploy.drills.stage import Stage, until
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.store.migrate import upgrade

LOAD_S = 6.0


def drill(stage: Stage) -> Outcome:
    """RTO: from the broker's death to the end of a job that was submitted after it."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    postgres = EmbeddedPostgres(stage.directory / "postgres")
    try:
        database_url, redis_url = postgres.start(), valkey.start()
        upgrade(database_url)
        with (
            stage.provider() as provider,
            running_platform(stage, database_url, redis_url, provider) as platform,
        ):
            with submitting(platform.clients) as load:
                wait_s(stage.seconds(LOAD_S))
                struck = time.monotonic()
                _lose(valkey, redis_url)
                until(lambda: platform.rig.ended(load.since(struck)))
                rto_s = time.monotonic() - struck
            return platform.outcome(load, struck, rto_s)
    finally:
        valkey.stop()
        postgres.stop()


def _lose(valkey: EmbeddedValkey, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not valkey.running)
    valkey.stop()
    shutil.rmtree(valkey.directory / "appendonlydir")
    valkey.start()
