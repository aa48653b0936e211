"""Postgres crashes and comes back, or its standby takes over, while jobs are accepted and run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx

from factory.domain.job import parse_id
from factory.embedded.postgres import EmbeddedPostgres
from factory.simulator import HostedSimulator
from tests.integration.reliability.freeze import postmaster_of
from tests.integration.reliability.replica import running_pair
from tests.integration.reliability.rig import Rig, eventually, running_rig

CRASHES = 3
JOBS = 120
SLOTS = 20
BODY = {"model": "openai/gpt-4o-mini", "input": "{{simulate latency_ms=100..1500}} Why?"}


def crash(server: EmbeddedPostgres) -> None:
    """An immediate shutdown: nothing is written, the next start replays the log."""
    os.kill(postmaster_of(server), signal.SIGQUIT)
    server.stop()


def test_jobs_go_on_when_postgres_crashes_under_them(
    tmp_path: Path, own_postgres: EmbeddedPostgres, own_postgres_url: str, redis_url: str,
    simulator: HostedSimulator,
) -> None:  # fmt: skip
    with running_rig(tmp_path, own_postgres_url, redis_url, simulator) as rig:
        rig.start_crew(workers=2, slots=SLOTS)
        job_ids = rig.submit(JOBS, "latency_ms=100..1500")
        for done in range(CRASHES):
            _until_ended(rig, job_ids, (done + 1) * JOBS // (CRASHES + 2))
            crash(own_postgres)
            own_postgres.start()
        ended = rig.all_ended(job_ids)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
        assert rig.called_once(job_ids)


def _until_ended(rig: Rig, job_ids: list[UUID], count: int) -> None:
    eventually(lambda: len(rig.ended(job_ids)) >= count)


def test_nothing_accepted_is_lost_when_the_standby_takes_over(
    tmp_path: Path, redis_url: str, simulator: HostedSimulator
) -> None:
    with (
        running_pair(tmp_path) as pair,
        running_rig(tmp_path, pair.url, redis_url, simulator) as rig,
        rig.gateway() as client,
    ):
        rig.start_crew(slots=SLOTS)
        with submitting(client) as accepted:
            _until_ended(rig, accepted, 20)
            pair.fail_over()
            before = len(accepted)
            _until_ended(rig, accepted, before + 20)
        ended = rig.all_ended(accepted)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
        assert rig.called_once(accepted)


@contextmanager
def submitting(client: httpx.Client) -> Iterator[list[UUID]]:
    """Submits jobs one after another during the block; gives the ids of those that were accepted."""
    accepted: list[UUID] = []
    done = threading.Event()

    def submit() -> None:
        while not done.wait(0.05):
            try:
                answer = client.post("/api/jobs", json=BODY)
            except httpx.TransportError:
                continue
            if answer.status_code == 202:
                accepted.append(parse_id(answer.json()["id"]))
            else:
                assert answer.status_code == 503

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield accepted
    finally:
        done.set()
        thread.join()
