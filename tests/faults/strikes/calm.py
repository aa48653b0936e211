"""How late jobs and their webhooks are while nothing is broken: what this machine costs by itself, however busy it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tests.acceptance.stack import eventually
from tests.faults.scene import LONG_S, Scene

JOBS, LATENCY_S, PRIORITY = 10, 0.3, "normal"
TWICE = 2
"""So late may be what nothing holds up."""


def measure(scene: Scene, model: str) -> None:
    """Leaves it in the scene. Webhooks are those of the receiver that is well, if there is one."""
    body = {"model": model, "priority": PRIORITY}
    if scene.hooks:
        body["webhook"] = {"url": scene.receivers["well"].url}
    text = f"{{{{simulate latency_ms={LATENCY_S * 1000:.0f}}}}} Why?"
    accepted = {scene.stack.submit(text, **body)["id"]: datetime.now(UTC) for _ in range(JOBS)}
    ended = {job_id: _end(scene, job_id) for job_id in accepted}
    waits_s = [(ended[one] - at).total_seconds() - LATENCY_S for one, at in accepted.items()]
    scene.calm_s = p95(waits_s)
    if scene.hooks:
        told = scene.receivers["well"].deliveries
        eventually(lambda: ended.keys() <= {one.job_id for one in told}, LONG_S)
        late_s = [(one.at - ended[one.job_id]).total_seconds() for one in told]
        scene.calm_webhooks_s = p95(late_s)


def _end(scene: Scene, job_id: str) -> datetime:
    return datetime.fromisoformat(scene.stack.ended(job_id, LONG_S)["finished_at"])


def p95(values: Sequence[float]) -> float:
    """The second largest of twenty."""
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else 0.0
