"""The machine loses its power: all programs, both servers and what keeps them are gone at one moment."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from tests.acceptance.stack import processes_of
from tests.faults.scene import LONG_S, Scene


def lose(scene: Scene, times: int = 1) -> None:
    """While jobs run and are submitted; after each, the first start must succeed."""
    for _ in range(times):
        scene.running_worker_pid()
        scene.struck()
        _kill_everything(scene)
        _give_pids_anew(scene)
        scene.stack.start_again()


def _kill_everything(scene: Scene) -> None:
    """All are stopped first, so that none sees another one die. Nothing is left that could reap slowly."""
    supervisor = psutil.Process(scene.stack.process.pid)
    supervisor.suspend()
    stopped = {supervisor}
    # What is stopped starts nothing: one more look finds what they have started meanwhile.
    while more := _family(scene, supervisor) - stopped:
        for process in more:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        stopped |= more
    for process in [supervisor, *(stopped - {supervisor})]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    scene.stack.process.wait()
    _, alive = psutil.wait_procs(stopped - {supervisor}, timeout=LONG_S)
    assert not alive, f"killed, and still there: {alive}"


def _family(scene: Scene, supervisor: psutil.Process) -> set[psutil.Process]:
    """All that it has started, by descent or by what names the home."""
    family = set(supervisor.children(recursive=True))
    for one in processes_of(scene.stack.home):
        with suppress(psutil.NoSuchProcess):
            family.add(psutil.Process(one.pid))
    return family


def _give_pids_anew(scene: Scene) -> None:
    """After a boot, another process has the pid in a lock file: here this one."""
    place = scene.stack.home / "postgres"
    for lock in (place / "data" / "postmaster.pid", *place.glob(".s.PGSQL.*.lock")):
        _, rest = lock.read_text().split("\n", 1)
        lock.write_text(f"{os.getpid()}\n{rest}")
