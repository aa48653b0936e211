"""Somebody takes all that there is: a provider that hangs, one priority, one tenant. Others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from factory.config import Settings
from factory.domain.job import new_id, parse_id
from factory.domain.lanes import Priority
from factory.domain.slots import capacity
from factory.services import connect
from factory.store.archive import EVERY_JOB
from factory.store.database import run
from tests.acceptance.stack import eventually
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene
from tests.faults.strikes import calm
from tests.faults.strikes.receivers import Receiver
from tests.integration.reliability.rig import END_ALL
from tests.integration.store.samples import given_jobs

SLOTS = 40
"""Of each worker: small, so that little is needed to fill it."""
SMALL_WORKERS = {"WORKER_SLOTS": str(SLOTS)}
LASTS_S = 3.0
DELIVERED_S = 30.0
PROMPT_S = 2.0
PATIENT_S = 15.0
"""A lane that is not urgent waits for its turns, and a project beside a greedy one for the slots of few."""
FULL = 2 * SLOTS * 7 // 8
"""What two workers hold, with or without their guards."""
ALL = 2 * capacity(SLOTS)
"""What one provider can have in two workers, if nothing is kept free."""
RUNNING = "SELECT count(*) FROM jobs WHERE state = 'running' AND provider = 'openai'"
OURS = f"SELECT project_id::text FROM {EVERY_JOB} j WHERE id = %s::uuid"


@contextmanager
def hanging_provider(scene: Scene) -> Iterator[None]:
    """Ten times as many calls as there are slots are never answered, and it is everybody's provider."""
    projects = [new_id() for _ in range(20)]
    with _receiver(scene), _flood(scene, SLOTS, projects, Priority.NORMAL, "hang"):
        yield


@contextmanager
def urgent_flood(scene: Scene) -> Iterator[None]:
    """For a minute more urgent jobs than there are slots, of the same project as the patient ones."""
    with _receiver(scene):
        found = scene.ask(OURS, str(parse_id(scene.stack.submit()["id"])))
        assert found
        with _flood(scene, 1800, [UUID(found[0][0])], Priority.HIGH, "latency_ms=1500..4500"):
            yield


@contextmanager
def greedy_tenant(scene: Scene, full: int = FULL) -> Iterator[None]:
    """Another project's jobs would hold every slot for longer than anybody here waits.

    They go out one a message: a message of many is taken whole, so that a few slots beside them would stay free.
    """
    script = "latency_ms=100000"
    with _receiver(scene), _flood(scene, 2000, [new_id()], Priority.HIGH, script, full):
        yield


def go_on(_scene: Scene) -> None:
    """The trouble is there since before the first job, and stays."""
    time.sleep(LASTS_S)


def others_go_on(scene: Scene, accepted: Sequence[Accepted]) -> Found:
    """Jobs of the others waited a moment, or for their turn; nobody's webhook waited for anybody."""
    ended = [one for one in accepted if scene.stack.job(one.job_id)["finished_at"]]
    wanted = {one.job_id for one in ended}
    told = scene.receivers["well"]
    deadline = time.monotonic() + DELIVERED_S
    while wanted - {one.job_id for one in told.deliveries} and time.monotonic() < deadline:
        time.sleep(0.1)
    late = [
        (one.at - scene.ended_at(one.job_id)).total_seconds()
        for one in tuple(told.deliveries)
        if one.job_id in wanted
    ]
    prompt_s = max(PROMPT_S, calm.TWICE * scene.calm_webhooks_s)
    waits = [(scene.ended_at(one.job_id) - one.at).total_seconds() - one.latency_s for one in ended]
    complaints = [
        f"{what} waited: p95 {seconds:.1f} s"
        for what, found, most_s in (("webhooks", late, prompt_s), ("others", waits, PATIENT_S))
        if (seconds := calm.p95(found)) > most_s
    ]
    missing = wanted - {one.job_id for one in told.deliveries}
    return Found(lost=len(missing), complaints=tuple(complaints))


@contextmanager
def _flood(
    scene: Scene,
    count: int,
    owners: Sequence[UUID],
    priority: Priority,
    script: str,
    full: int = FULL,
) -> Iterator[None]:
    """From when the workers hold `full` of the jobs."""
    state = scene.state()
    settings = Settings(
        database_url=state.database_url, redis_url=state.redis_url, secret_key="not needed" * 4
    )
    message = {"role": "user", "content": f"{{{{simulate {script}}}}} Go."}
    services = connect(settings, "flood")
    for owner in owners:
        given_jobs(
            services, count, project_id=owner, priority=priority, input={"messages": [message]}
        )
    try:
        eventually(lambda: (scene.ask(RUNNING) or [(0,)])[0][0] >= full, LONG_S)
        scene.struck()
        yield
    finally:
        for statement in END_ALL:
            with services.database.transaction() as tx:
                run(tx, statement)
        services.close()


@contextmanager
def _receiver(scene: Scene) -> Iterator[None]:
    with Receiver(204) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
        scene.receivers, scene.hooks = {"well": receiver}, [receiver.url]
        calm.measure(scene, "anthropic/claude-haiku-4-5")
        yield
        receiver.shutdown()
