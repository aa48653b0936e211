"""The machine loses its power: all programs, both servers and what keeps them are gone at one moment."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from tests.acceptance.stack import processes_of
from tests.faults.scene import Scene


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
    pids = {one.pid for one in processes_of(scene.stack.home)}
    family = {supervisor, *supervisor.children(recursive=True)}
    family |= {psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)}
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in [supervisor, *(family - {supervisor})]:
            with suppress(psutil.NoSuchProcess):
                act(process)
    scene.stack.process.wait()
    psutil.wait_procs(family - {supervisor}, timeout=10)


def _give_pids_anew(scene: Scene) -> None:
    """After a boot, another process has the pid in a lock file: here this one."""
    place = scene.stack.home / "postgres"
    for lock in (place / "data" / "postmaster.pid", *place.glob(".s.PGSQL.*.lock")):
        _, rest = lock.read_text().split("\n", 1)
        lock.write_text(f"{os.getpid()}\n{rest}")
