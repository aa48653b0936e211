"""The platform's own programs die, sleep, or are replaced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from factory.domain.lanes import all_lanes
from tests.acceptance.stack import Process, eventually
from tests.faults.scene import LONG_S, Scene
from tests.faults.strikes import migration

HOLDER = """
SELECT w.pid FROM jobs j JOIN workers w ON w.id = j.worker_id
 WHERE j.id = %s::uuid AND j.state = 'running'
"""


def kill_workers(scene: Scene, times: int = 3, pause_s: tuple[float, float] = (2.0, 2.0)) -> None:
    for _ in range(times):
        pid = scene.running_worker_pid()
        scene.struck()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda gone=pid: gone not in scene.worker_pids(), LONG_S)
        time.sleep(scene.dice.uniform(*pause_s))  # the pace of the kills


def stop_and_wake_worker(scene: Scene, asleep_s: float = 20.0) -> None:
    """A zombie: it sleeps through its lease, and wakes with calls that it believes to own."""
    pid = scene.running_worker_pid()
    scene.struck()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(asleep_s)
    os.kill(pid, signal.SIGCONT)


def lose_hints(scene: Scene) -> None:
    """The lanes lose their messages, and nothing tells the dispatcher that they did."""
    pids = scene.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        # A stopped worker's pending fetch takes one message; the others lie in their lanes.
        eventually(lambda: sum(scene.redis().llen(lane) for lane in all_lanes()) > 5, LONG_S)
        scene.struck()
        scene.redis().delete(*all_lanes())
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def kill_gateways(scene: Scene, times: int = 4) -> None:
    for _ in range(times):
        found = eventually(scene.stack.gateway_workers, LONG_S)
        scene.struck()
        os.kill(scene.dice.choice(found).pid, signal.SIGKILL)
        time.sleep(0.7)


def kill_dispatchers(
    scene: Scene, times: int = 2, pause_s: tuple[float, float] = (1.5, 1.5)
) -> None:
    for _ in range(times):
        found = eventually(lambda: scene.stack.programs("workers.dispatcher"), LONG_S)
        scene.struck()
        os.kill(scene.dice.choice(found).pid, signal.SIGKILL)
        time.sleep(scene.dice.uniform(*pause_s))


def roll_everything(scene: Scene) -> None:
    """A rolling deploy: the schema is migrated while all run, then each program is told to go, and its
    successor serves before the next.

    The gateway reloads, so that its socket stays: one that ends resets the connections that it has
    not accepted yet, and only a load balancer in front could tell its clients before.
    """
    migration.migrate(scene)
    for module in ("workers.worker", "workers.dispatcher"):
        for pid in masters(scene, module):
            scene.struck()
            replace(scene, module, pid)
            eventually(lambda: len(scene.stack.workers()) == 2, LONG_S)
    (gateway,) = masters(scene, "gunicorn")
    before = _pids(scene.stack.gateway_workers())
    scene.struck()
    os.kill(gateway, signal.SIGHUP)
    eventually(lambda: before.isdisjoint(_pids(scene.stack.gateway_workers())), LONG_S)


def _pids(found: Sequence[Process]) -> set[int]:
    return {one.pid for one in found}


def replace(scene: Scene, module: str, pid: int) -> None:
    count = len(scene.stack.programs(module))
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: pid not in masters(scene, module), LONG_S)
    eventually(lambda: len(scene.stack.programs(module)) == count, LONG_S)


def masters(scene: Scene, module: str) -> list[int]:
    found = scene.stack.programs(module)
    return [one.pid for one in found if one.parent not in _pids(found)]


def poison(scene: Scene) -> None:
    """One job kills whatever process calls the provider for it, and is called poison in the end."""
    body = {"max_attempts": 10, "priority": "high"}
    job_id = scene.stack.submit("{{simulate latency_ms=3000}} poison", **body)["id"]
    uuid = job_id.removeprefix("job_")

    def holder() -> int | None:
        rows = scene.ask(HOLDER, uuid)
        return int(rows[0][0]) if rows else None

    while not scene.stack.job(job_id)["finished_at"]:
        pid = holder()
        if pid and scene.stack.calls(job_id):
            scene.struck()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda dead=pid: holder() != dead, LONG_S)
        time.sleep(0.1)
    assert scene.stack.job(job_id)["error"]["type"] == "poison_job"
