"""Leases: whose worker is alive, and whose jobs are free to be taken back."""

from __future__ import annotations

import pytest

from factory.domain.state import State
from factory.services import Services
from factory.store import leases, moves
from factory.store.database import run
from tests.integration.store.samples import (
    PROJECT,
    ask,
    claim,
    end,
    finish,
    given_job,
    given_jobs,
    given_state,
    given_worker,
    silence,
    tell,
)

LEASE_S = 15.0


SILENT = "UPDATE workers SET heartbeat_at = now() - make_interval(secs => %(s)s)"


def _expired(services: Services, silent_s: float | None = None) -> list[leases.Expired]:
    """In one transaction, whose clock stands still. `silent_s`: of all workers."""
    with services.database.transaction() as tx:
        if silent_s is not None:
            run(tx, SILENT, {"s": silent_s})
        return leases.expired(tx, LEASE_S)


def test_a_lease_runs_out_a_whole_lease_after_the_last_heartbeat(services: Services) -> None:
    worker_id = given_worker(services)
    [job] = claim(services, worker_id, given_job(services))
    assert _expired(services, silent_s=LEASE_S - 1) == []
    assert _expired(services, silent_s=LEASE_S + 1) == [
        leases.Expired(job.id, job.lease_token, 1, 5, 0, worker_id)
    ]


def test_a_heartbeat_extends_the_lease(services: Services) -> None:
    worker_id = given_worker(services)
    claim(services, worker_id, given_job(services))
    silence(services, worker_id, LEASE_S + 1)
    with services.database.transaction() as tx:
        assert leases.heartbeat(tx, worker_id).known
    assert _expired(services) == []


@pytest.mark.parametrize("gone", ["DELETE FROM workers", "UPDATE workers SET stopped_at = now()"])
def test_a_worker_that_is_gone_holds_no_lease(services: Services, gone: str) -> None:
    [job] = claim(services, given_worker(services), given_job(services))
    tell(services, gone)
    assert [one.job_id for one in _expired(services)] == [job.id]


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_only_running_jobs_have_a_lease(services: Services, state: State) -> None:
    given_state(services, state)
    tell(services, "DELETE FROM workers")
    assert _expired(services) == []


def test_a_heartbeat_learns_which_of_its_jobs_are_unwanted(services: Services) -> None:
    worker_id = given_worker(services)
    wanted, unwanted, ended = given_jobs(services, 3)
    held = claim(services, worker_id, wanted, unwanted, ended)
    [others] = claim(services, given_worker(services), given_job(services))
    with services.database.transaction() as tx:
        for job_id in (unwanted, ended, others.id):
            moves.request_cancel(tx, PROJECT, job_id)
    finish(services, *(end(job, State.CANCELLED) for job in held if job.id == ended))
    with services.database.transaction() as tx:
        assert leases.heartbeat(tx, worker_id).unwanted == [unwanted]


def test_a_heartbeat_tells_a_worker_that_it_has_been_forgotten(services: Services) -> None:
    worker_id = given_worker(services)
    silence(services, worker_id, 2 * 86400)
    with services.database.transaction() as tx:
        assert leases.forget_old(tx) == 1
        assert not leases.heartbeat(tx, worker_id).known


def test_a_worker_with_running_jobs_is_not_forgotten(services: Services) -> None:
    worker_id = given_worker(services)
    claim(services, worker_id, given_job(services))
    silence(services, worker_id, 2 * 86400)
    with services.database.transaction() as tx:
        assert leases.forget_old(tx) == 0


def test_workers_are_shown_with_what_they_run(services: Services) -> None:
    busy, silent, stopped = (given_worker(services, slots=7) for _ in range(3))
    claim(services, busy, *given_jobs(services, 2))
    silence(services, silent, LEASE_S + 1)
    with services.database.transaction() as tx:
        leases.drain(tx, silent)
        leases.stop(tx, stopped)
        shown = {worker.id: worker for worker in leases.workers(tx, LEASE_S)}
    assert set(shown) == {busy, silent}
    assert (shown[busy].running, shown[busy].slots, shown[busy].live) == (2, 7, True)
    assert (shown[silent].running, shown[silent].live, shown[silent].draining) == (0, False, True)


def test_the_clock_is_that_of_the_database(services: Services) -> None:
    with services.database.transaction() as tx:
        read = leases.database_time(tx)
    [row] = ask(services, "SELECT extract(epoch FROM clock_timestamp())::float8 AS at")
    assert 0 <= row.at - read < 60
