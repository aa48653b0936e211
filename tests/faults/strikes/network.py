"""A worker's connections break, in each way that a network can, or all of them for longer than a lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from tests.acceptance.stack import eventually
from tests.faults.scene import LONG_S, Scene
from tests.integration.reliability.proxy import Direction, Proxy

WAYS: tuple[Callable[[Proxy], None], ...] = (
    Proxy.refuse,
    Proxy.reset,
    Proxy.reject,
    Proxy.swallow,
    lambda proxy: proxy.swallow(frozenset({Direction.UP})),
    lambda proxy: proxy.swallow(frozenset({Direction.DOWN})),
    lambda proxy: proxy.delay(0.3),
    Proxy.half_close,
    Proxy.strand,
)
LASTS_S = 1.5
BEATEN = "SELECT count(*) FROM workers WHERE pid = %s AND stopped_at IS NULL AND heartbeat_at > %s"


def break_connections(scene: Scene, server: str) -> None:
    """Each way in turn, shorter than a lease: the worker has beaten before the next one."""
    scene.running_worker_pid(among=[scene.extra_pid])
    for way in WAYS:
        scene.struck()
        way(scene.ways[server])
        time.sleep(LASTS_S)
        scene.ways[server].heal()
        healed = scene.answer("SELECT clock_timestamp()")[0][0]
        eventually(lambda since=healed: _has_beaten(scene, since), LONG_S)


def _has_beaten(scene: Scene, since: datetime) -> bool:
    return bool(scene.answer(BEATEN, scene.extra_pid, since)[0][0])


def cut_off(scene: Scene, server: str, seconds: float) -> None:
    """A black hole: the worker runs on, and neither it nor the server learns of it."""
    scene.running_worker_pid(among=[scene.extra_pid])
    scene.struck()
    scene.ways[server].swallow()
    time.sleep(seconds)
    scene.ways[server].heal()
