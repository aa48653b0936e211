"""A request whose commit nobody heard of is sent again with its key, and makes no second job."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from factory.simulator import SimulatorConfig, running_simulator
from factory.store.database import rows
from tests.integration.reliability.freeze import children_of
from tests.integration.reliability.proxy import Loss, Proxy, running_proxy
from tests.integration.reliability.rig import Rig, eventually, running_rig
from tests.integration.reliability.urls import database_of, postgres_socket

JOB = {"model": "openai/gpt-4o-mini", "input": "Why?"}
BINDS = b"INSERT INTO idempotency_keys"
"""The statement before the commit that counts."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A gateway whose way to Postgres a test can cut."""

    rig: Rig
    client: httpx.Client
    proxy: Proxy

    def post(self, kind: str, key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        if kind == "job":
            return self.client.post("/api/jobs", json=JOB, headers=headers)
        lines = "\n".join([json.dumps(JOB)] * 3)
        headers |= {"Content-Type": "application/x-ndjson"}
        return self.client.post("/api/jobs/bulk", content=lines, headers=headers)

    def stored(self) -> set[str]:
        """The public ids of all jobs."""
        with self.rig.services.database.transaction() as tx:
            return {f"job_{row.id.hex}" for row in rows(tx, "SELECT id FROM jobs")}


@pytest.fixture
def desk(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Desk]:
    with ExitStack() as stack:
        proxy = stack.enter_context(running_proxy(postgres_socket(database_url)))
        simulator = stack.enter_context(
            running_simulator(SimulatorConfig(log=tmp_path / "calls.log"))
        )
        through = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database_of(database_url)}"
        rig = stack.enter_context(
            running_rig(tmp_path, through, redis_url, simulator, own_database_url=database_url)
        )
        yield Desk(rig, stack.enter_context(rig.gateway()), proxy)


def _ids(answer: Any) -> set[str]:
    return set(answer["ids"]) if "ids" in answer else {answer["id"]}


@pytest.mark.parametrize("loss", [Loss.QUESTION, Loss.ANSWER])
@pytest.mark.parametrize("kind", ["job", "bulk"])
def test_a_commit_of_unknown_outcome_is_no_success_and_its_retry_makes_no_second_job(
    desk: Desk, kind: str, loss: Loss
) -> None:
    key = uuid4().hex
    desk.proxy.cut_at(b"COMMIT", loss, after=BINDS)
    first = desk.post(kind, key)
    assert (first.status_code, desk.proxy.cuts) == (503, 1)
    assert first.headers["Retry-After"]
    committed = desk.stored()
    assert bool(committed) == (loss is Loss.ANSWER)
    again = desk.post(kind, key)
    assert again.status_code == 202
    assert _ids(again.json()) == desk.stored()
    assert committed <= desk.stored()
    assert desk.post(kind, key).json() == again.json()


@pytest.mark.parametrize("kind", ["job", "bulk"])
def test_a_gateway_that_dies_between_commit_and_answer_leaves_the_answer_to_the_retry(
    desk: Desk, kind: str
) -> None:
    key = uuid4().hex
    desk.proxy.cut_at(b"COMMIT", Loss.SILENCE, after=BINDS)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(desk.post, kind, key)
        committed = eventually(desk.stored)
        [gateway] = desk.rig.programs
        for worker in children_of(gateway.pid):
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            first.result(30)
    again = eventually(lambda: _accepted(desk, kind, key))
    assert _ids(again.json()) == committed == desk.stored()


def _accepted(desk: Desk, kind: str, key: str) -> httpx.Response | None:
    """The answer once a successor of the gateway gives one."""
    try:
        answer = desk.post(kind, key)
    except httpx.TransportError:
        return None
    return answer if answer.status_code == 202 else None
