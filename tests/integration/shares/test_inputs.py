"""What one provider, one priority or one tenant does that takes all, and how the others go on beside it.

Nothing is timed but in the order of things: the others end while the trouble lasts, which would last for
longer than anybody here waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from factory.domain.job import Kind, new_id
from factory.domain.lanes import WEBHOOK, Priority
from factory.domain.slots import capacity
from factory.store.database import rows
from tests.integration.pipeline.receiver import Receiver
from tests.integration.reliability.rig import Rig, eventually
from tests.integration.store.samples import OTHER_PROJECT, PROJECT, given_jobs

HAIKU = "anthropic/claude-haiku-4-5"


def _jobs(
    rig: Rig,
    count: int,
    script: str,
    *,
    project: UUID = PROJECT,
    model: str = "openai/gpt-4o-mini",
    priority: Priority = Priority.NORMAL,
    webhook: str | None = None,
) -> list[UUID]:
    message = {"role": "user", "content": f"{{{{simulate {script}}}}} Go."}
    return given_jobs(
        rig.services,
        count,
        project_id=project,
        provider=model.partition("/")[0],
        model=model,
        priority=priority,
        input={"messages": [message]},
        webhook_url=webhook,
    )


def _running(rig: Rig, group: str = "openai") -> int:
    with rig.services.database.transaction() as tx:
        statement = "SELECT count(*) AS n FROM jobs WHERE state = 'running' AND lane LIKE %(lanes)s"
        return int(rows(tx, statement, {"lanes": f"{group}.%"})[0].n)


def _succeeded(rig: Rig, job_ids: list[UUID]) -> bool:
    return {one.state for one in rig.all_ended(job_ids)} == {"succeeded"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("owners", [1, 100])
def test_other_providers_and_webhooks_go_on_beside_one_that_hangs(
    rig: Rig, receiver: Receiver, owners: int
) -> None:
    rig.start_crew(slots=40)
    hanging = [
        one for _ in range(owners) for one in _jobs(rig, 200 // owners, "hang", project=new_id())
    ]
    eventually(lambda: _running(rig) >= 40)
    others = _jobs(rig, 4, "latency_ms=50", model=HAIKU, webhook=receiver.url)
    assert _succeeded(rig, others)
    eventually(lambda: len(receiver.received) == 4)
    assert rig.ended(hanging) == []
    assert 40 <= _running(rig) <= capacity(40)


def test_patient_lanes_other_providers_and_webhooks_go_on_beside_a_flood_of_urgent_jobs(
    rig: Rig, receiver: Receiver
) -> None:
    """All of one project: nobody holds few."""
    rig.start_crew(slots=10)
    flood = _jobs(rig, 2000, "latency_ms=1000", priority=Priority.HIGH, webhook=receiver.url)
    eventually(lambda: _running(rig) >= 10)
    patient = _jobs(rig, 5, "latency_ms=50", priority=Priority.LOW, webhook=receiver.url)
    others = _jobs(rig, 5, "latency_ms=50", model=HAIKU, priority=Priority.BULK)
    assert _succeeded(rig, patient)
    assert _succeeded(rig, others)
    eventually(lambda: len(receiver.received) >= 10)
    assert len(rig.ended(flood)) < len(flood) / 2


def test_an_urgent_job_of_another_project_goes_on_beside_560_that_take_minutes(rig: Rig) -> None:
    rig.start_crew(slots=500)
    long = _jobs(rig, 560, "latency_ms=250000", project=OTHER_PROJECT, priority=Priority.BULK)
    eventually(lambda: _running(rig) >= 500)
    assert _succeeded(rig, _jobs(rig, 3, "latency_ms=50", priority=Priority.HIGH))
    assert rig.ended(long) == []


def test_another_projects_jobs_and_webhooks_go_on_beside_1500_slow_webhooks(
    rig: Rig, receiver: Receiver
) -> None:
    rig.start_crew(slots=500)
    with _slow_receiver() as url:
        slow = given_jobs(
            rig.services,
            1500,
            project_id=OTHER_PROJECT,
            kind=Kind.WEBHOOK,
            provider=WEBHOOK,
            model=None,
            input=_event(rig),
            webhook_url=url,
        )
        eventually(lambda: _running(rig, WEBHOOK) >= 500)
        assert _succeeded(rig, _jobs(rig, 20, "latency_ms=50", webhook=receiver.url))
        eventually(lambda: len(receiver.received) == 20)
        assert len(rig.ended(slow)) < 500


def _event(rig: Rig) -> dict[str, object]:
    """What a webhook tells: of a job that has ended."""
    [told] = _jobs(rig, 1, "latency_ms=0", webhook="http://127.0.0.1:9/hook")
    rig.all_ended([told])
    with rig.services.database.transaction() as tx:
        statement = (
            "SELECT p.input FROM jobs j JOIN job_requests p ON p.job_id = j.id"
            " WHERE j.parent_id = %(id)s"
        )
        [found] = rows(tx, statement, {"id": str(told)})
    input: dict[str, object] = found.input
    return input


@contextmanager
def _slow_receiver() -> Iterator[str]:
    """The URL of a server that lets every request wait for 20 s."""
    ready, ports = threading.Event(), []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(20)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(hold, "127.0.0.1", 0, backlog=1000)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    loop = asyncio.new_event_loop()
    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: _until_cancelled(loop, task), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{ports[0]}/hook"
    loop.call_soon_threadsafe(task.cancel)
    thread.join(30)


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        return
