"""A worker whose process is gone is marked dead by its local peers, and nothing of it waits for the lease's end."""

from __future__ import annotations

import os
import subprocess
import sys
from uuid import UUID

import pytest

from factory.domain.job import new_id
from factory.domain.state import State
from factory.pipeline.upkeep.reaper import Reaper, mark_dead
from factory.services import Services
from factory.store import leases
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import ask, claim, given_job, given_worker, publish, view
from workers.local_peers import is_gone, pid_namespace

HERE = "this machine"


def _dead_pid() -> int:
    """Of a process that has ended and was reaped."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def _peer(services: Services, pid: int, namespace: str | None) -> str:
    worker_id = new_id()
    with services.database.transaction() as tx:
        leases.register(
            tx,
            worker_id,
            hostname="here",
            pid=pid,
            lanes=["openai.high"],
            slots=1,
            pid_namespace=namespace,
        )
    return str(worker_id)


def _stopped(services: Services) -> set[str]:
    return {
        str(row.id) for row in ask(services, "SELECT id FROM workers WHERE stopped_at IS NOT NULL")
    }


def test_a_peer_whose_process_is_gone_is_marked_dead(bench: Bench) -> None:
    dead_pid = _dead_pid()
    _peer(bench.services, dead_pid, "another machine")
    _peer(bench.services, dead_pid, None)
    _peer(bench.services, os.getppid(), HERE)
    dead = _peer(bench.services, dead_pid, HERE)
    bench.worker(pid_namespace=HERE)
    bench.run(until(lambda: _stopped(bench.services)))
    assert _stopped(bench.services) == {dead}


def test_a_process_of_somebody_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_gone(os.getpid())

    def forbidden(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not is_gone(1)


def test_programs_of_one_machine_agree_on_its_name() -> None:
    code = "from workers.local_peers import pid_namespace; print(pid_namespace())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == pid_namespace()


def _mark_dead(services: Services, worker_id: UUID) -> None:
    with services.database.transaction() as tx:
        mark_dead(tx, [worker_id])


def test_the_jobs_of_a_dead_worker_do_not_wait_for_its_lease(services: Services) -> None:
    worker_id = given_worker(services)
    [job] = claim(services, worker_id, given_job(services))
    _mark_dead(services, worker_id)
    assert Reaper(services).tick() == 1  # a new one, which holds for all others
    assert (view(services, job.id).state, view(services, job.id).attempt) == (State.QUEUED, 1)


def test_the_hints_of_a_dead_workers_lanes_go_out_again(services: Services) -> None:
    theirs, others = given_job(services), given_job(services, provider="anthropic")
    assert publish(services, "openai.normal", 1) == [theirs]
    assert publish(services, "anthropic.normal", 1) == [others]
    _mark_dead(services, given_worker(services, lanes=["openai.normal"]))
    assert publish(services, "openai.normal", 1) == [theirs]
    assert publish(services, "anthropic.normal", 1) == []
