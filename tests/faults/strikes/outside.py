"""What is not ours fails: providers, receivers of webhooks; and owners change their mind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from tests.acceptance.stack import eventually
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene
from tests.faults.strikes import calm

PROMPT_S = 1.0
OTHERS = "anthropic/claude-haiku-4-5"


@contextmanager
def calm_before(scene: Scene) -> Iterator[None]:
    """What jobs of the others take is measured first."""
    calm.measure(scene, OTHERS)
    yield


def storm(scene: Scene, seconds: float = 10.0) -> None:
    """Every call of one provider is answered with 429, for a while."""
    _script(scene, "status=429 retry_after=1", seconds)


def outage(scene: Scene, seconds: float = 8.0) -> None:
    """Every call of one provider is answered with 503, for a while."""
    _script(scene, "status=503", seconds)


def others_are_prompt(scene: Scene, accepted: Sequence[Accepted]) -> Found:
    """Jobs of the other providers took what their provider takes, and a moment."""
    p95_s = calm.p95(
        [
            (scene.ended_at(one.job_id) - one.at).total_seconds() - one.latency_s
            for one in accepted
            if not one.model.startswith("openai/")
        ]
    )
    late = (f"other providers' jobs waited: p95 {p95_s:.1f} s, in calm {scene.calm_s:.1f} s",)
    return Found(complaints=late if p95_s > max(PROMPT_S, calm.TWICE * scene.calm_s) else ())


def _script(scene: Scene, script: str, seconds: float) -> None:
    address = f"{scene.simulator_url()}/_simulator/script"
    scene.struck()
    httpx.put(address, json={"openai": script}, timeout=LONG_S)
    time.sleep(seconds)
    httpx.delete(address, timeout=LONG_S)


def cancel_some(scene: Scene) -> None:
    """Owners change their mind, whatever state their job is in."""
    eventually(lambda: len(scene.job_ids) > 5, LONG_S)
    for _ in range(12):
        scene.struck()
        scene.stack.http.post(f"/api/jobs/{scene.dice.choice(scene.job_ids)}/cancel")
        time.sleep(0.1)
