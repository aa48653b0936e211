"""Postgres and the broker die, sleep, forget, or have no room left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from redis.exceptions import RedisError

from tests.acceptance.stack import eventually
from tests.faults.scene import LONG_S, Scene


def flush_broker(scene: Scene, times: int = 3) -> None:
    for _ in range(times):
        scene.struck()
        scene.redis().flushall()
        time.sleep(1.0)


def kill_broker(scene: Scene) -> None:
    """The broker dies; what keeps the embedded servers starts it again."""
    scene.struck()
    os.kill(_broker_pid(scene), signal.SIGKILL)
    eventually(lambda: _answers(scene), LONG_S)


def stop_and_wake_broker(scene: Scene, asleep_s: float = 8.0) -> None:
    scene.struck()
    with _asleep([psutil.Process(_broker_pid(scene))]):
        time.sleep(asleep_s)


def fill_broker(scene: Scene, full_s: float = 6.0) -> None:
    """Under `noeviction` a broker without room refuses every write."""
    redis = scene.redis()
    scene.struck()
    redis.config_set("maxmemory", "1")
    time.sleep(full_s)
    redis.config_set("maxmemory", "0")


def kill_postgres(scene: Scene) -> None:
    """All of Postgres dies at once, in the middle of commits."""
    postmaster = postmaster_pid(scene)
    scene.struck()
    os.kill(postmaster, signal.SIGQUIT)
    eventually(lambda: scene.ask("SELECT 1"), LONG_S)


def stop_and_wake_postgres(scene: Scene, asleep_s: float = 20.0) -> None:
    """For longer than a lease nobody can beat; when Postgres is back, every lease looks expired."""
    scene.running_worker_pid()
    postmaster = psutil.Process(postmaster_pid(scene))
    family = [postmaster, *postmaster.children(recursive=True)]
    scene.struck()
    with _asleep(family):
        time.sleep(asleep_s)


def wake_workers_last(scene: Scene, later_s: float = 3.0) -> None:
    """Postgres sleeps for longer than a lease, and the workers longer still: when the reaper can look again,
    none of them has beaten. Otherwise a beat that Postgres slept over may come first.
    """
    scene.running_worker_pid()
    with _asleep([psutil.Process(pid) for pid in scene.worker_pids()]):
        stop_and_wake_postgres(scene)
        time.sleep(later_s)


def postmaster_pid(scene: Scene) -> int:
    pid_file = scene.stack.home / "postgres" / "data" / "postmaster.pid"
    return int(pid_file.read_text().split()[0])


@contextmanager
def _asleep(family: list[psutil.Process]) -> Iterator[None]:
    for process in family:
        with suppress(psutil.NoSuchProcess):  # a server's processes come and go
            process.suspend()
    try:
        yield
    finally:
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _broker_pid(scene: Scene) -> int:
    return int(scene.redis().info("server")["process_id"])  # type: ignore[index]


def _answers(scene: Scene) -> bool:
    try:
        return bool(scene.redis().ping())
    except RedisError:
        return False
