"""Jobs block the loop of their worker: by work that is known to take long, and by a bug that nobody knows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.client import Accepted
from tests.faults.scene import Found, Scene
from tests.faults.strikes import calm
from tests.faults.strikes.blocking.sitecustomize import RELEASE, WORDS
from tests.faults.strikes.programs import HOLDER

VARIABLES = {
    "PYTHONPATH": str(Path(__file__).parent / "blocking"),
    "LOOP_RESTART_S": "3",
}
DEADLINE_S = 4.0
LATE_S = 5.0
"""2 s are promised; three platforms beside each other share this machine."""
POISONED_S = 90.0
RESTARTS = (
    "SELECT coalesce(sum(amount), 0) FROM counters WHERE metric = 'worker_loop_restarts_total'"
)
TABLE: dict[str, Any] = {
    "type": "object",
    "properties": {f"p{n}": {"$ref": "#/$defs/used"} for n in range(2_400)},
    "$defs": {
        "used": {"properties": {name: {"type": "string"} for name in "abcdef"}},
        **{f"d{n}": {} for n in range(2_400)},
    },
}
KNOWN: Sequence[dict[str, Any]] = (
    {"params": {"json_schema": {"uniqueItems": True, "const": [{"n": n} for n in range(6_000)]}}},
    {"params": {"json_schema": {"pattern": "^(?:a|aa)*$", "const": "a" * 60 + "!"}}},
    {"model": "anthropic/claude-haiku-4-5", "params": {"json_schema": TABLE}},
)
blocking: dict[str, list[str]] = {}
"""By home of the platform: the jobs with work that is known, and last the one with the bug."""


@contextmanager
def until_the_end(scene: Scene) -> Iterator[None]:
    """Afterwards what still blocks is let go."""
    calm.measure(scene, "openai/gpt-4o-mini")
    try:
        yield
    finally:
        (scene.stack.home / RELEASE).touch()


def block(scene: Scene) -> None:
    """Returns when all of these jobs have ended, or should have long ago."""
    scene.struck()
    jobs = [scene.stack.submit("Go.", deadline_s=DEADLINE_S, **job)["id"] for job in KNOWN]
    bug = scene.stack.submit(WORDS, max_attempts=10)["id"]
    blocking[str(scene.stack.home)] = [*jobs, bug]
    deadline, held = time.monotonic() + POISONED_S, None
    while _open(scene) and time.monotonic() < deadline:
        rows = scene.ask(HOLDER, bug.removeprefix("job_"))
        if rows and rows[0][0] != held:
            held = rows[0][0]
            scene.struck()
        time.sleep(0.1)


def _open(scene: Scene) -> bool:
    jobs = blocking[str(scene.stack.home)]
    return not all(scene.stack.job(job_id)["finished_at"] for job_id in jobs)


def verify(scene: Scene, _accepted: Sequence[Accepted]) -> Found:
    """The bug's job is poison, told by at least two workers; the others ended at their deadline."""
    *known, bug = blocking.pop(str(scene.stack.home))
    error = scene.stack.job(bug)["error"] or {}
    lost = int(error.get("type") != "poison_job")
    restarts = scene.answer(RESTARTS)[0][0]
    late = [job_id for job_id in known if _late(scene, job_id)]
    complaints = [f"jobs with slow work ended late: {', '.join(late)}"] * bool(late)
    if lost:
        complaints.append(f"the job with the bug is no poison job: {error.get('type', 'no error')}")
    if restarts < 2:
        complaints.append(f"{restarts} restarts were counted")
    return Found(lost=lost + len(late), complaints=tuple(complaints))


def _late(scene: Scene, job_id: str) -> bool:
    job = scene.stack.job(job_id)
    if not job["finished_at"]:
        return True
    began, ended = (datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
    return (ended - began).total_seconds() > DEADLINE_S + LATE_S + calm.TWICE * scene.calm_s
