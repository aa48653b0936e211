"""The steps: each looks at one part, and gives a line of what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deploy.smoke.metrics import METRIC, succeeded_by_exporter, succeeded_by_prometheus
from factory.cli.gateway import Gateway
from factory.cli.receiver import running_receiver
from factory.errors import FactoryError, InvalidInput

LOOK_S = 0.2

T = TypeVar("T")


class Skipped(Exception):
    """The step cannot be made here; the text says why."""


class Broken(Exception):
    """What the step looked at does not work."""


@dataclass(frozen=True, slots=True)
class Target:
    """The platform, and what is known of its surroundings. `receiver`: a URL that takes webhooks."""

    url: str
    key: str
    model: str
    patience_s: float
    receiver: str | None = None
    webhook_secret: str | None = None
    prometheus: str | None = None
    exporter: str | None = None
    on_loopback: bool = False
    home: str = ""
    """The directory of an installation of its own."""


@dataclass(slots=True)
class Room:
    """What the steps share: the target, its gateway, and how many jobs had succeeded before."""

    target: Target
    gateway: Gateway
    succeeded_before: float | None = None
    _paths: dict[str, Any] = field(default_factory=dict)

    def paths(self) -> dict[str, Any]:
        """The calls of the API, by its own document."""
        if not self._paths:
            self._paths = self.gateway.get("/openapi.json")["paths"]
        return self._paths


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended: `ok`, `skipped` or `failed`."""

    name: str
    status: str
    detail: str
    seconds: float

    def line(self) -> str:
        """For people."""
        match self.status:
            case "ok":
                return f"smoke {self.name} ok ({self.seconds:.1f} s) {self.detail}"
            case "skipped":
                return f"smoke {self.name} SKIP: {self.detail}"
            case _:
                return f"smoke {self.name} FAILED: {self.detail}"


Step = Callable[[Room], str]


def run_step(name: str, step: Step, room: Room) -> Result:
    """What came of it. An error of the platform fails the step and not the run."""
    started = time.monotonic()
    try:
        status, detail = "ok", step(room)
    except Skipped as reason:
        status, detail = "skipped", str(reason)
    except FactoryError as error:
        status, detail = "failed", error.message
    except Broken as error:
        status, detail = "failed", str(error)
    except (KeyError, TypeError):
        status, detail = "failed", "an answer is not the platform's: is it the gateway's address?"
    return Result(name, status, detail, round(time.monotonic() - started, 3))


def health(room: Room) -> str:
    """The gateway runs."""
    return f"status {room.gateway.get('/health')['status']}"


def ready(room: Room) -> str:
    """It can accept jobs. Redis is not needed for that, but a job is not run without it."""
    found = room.gateway.get("/ready")
    if not found["redis"]["ok"]:
        raise Broken(f"Redis: {found['redis']['detail']}")
    room.succeeded_before = _succeeded(room.target)
    return "Postgres, schema, Redis"


def project(room: Room) -> str:
    """A project by the API."""
    return _by_api(room, "/api/projects")


def task(room: Room) -> str:
    """A task by the API."""
    return _by_api(room, "/api/tasks")


def _by_api(room: Room, path: str) -> str:
    if path in room.paths():
        raise Broken(f"the API has {path} now: this step must use it (deploy/smoke/steps.py)")
    raise Skipped(f"the API has no {path} yet")


def job(room: Room) -> str:
    """A job, from the POST to its result."""
    ended = _run_job(room, {})
    text = " ".join(str(ended["result"]["text"]).split())
    return f"{ended['id']} by {ended['model']}: {text[:60]!r}"


def webhook(room: Room) -> str:
    """The end of a job is told, to the receiver that was named or to one of its own on loopback."""
    target = room.target
    if target.receiver:
        told = _told(room, _run_job(room, {"webhook": {"url": target.receiver}})["id"])
        return f"{target.receiver} answered {told['last_status']}"
    if not target.on_loopback:
        raise Skipped("name a receiver that the platform can reach: --receiver URL")
    if not target.webhook_secret:
        raise Skipped("give --webhook-secret (`factory keys webhook-secret`) or --receiver")
    with running_receiver(target.webhook_secret) as receiver:
        try:
            ended = _run_job(room, {"webhook": {"url": receiver.url}})
        except InvalidInput as error:
            raise Skipped(f"not to loopback: {error.message}; give --receiver") from None
        _told(room, ended["id"])
        if receiver.forged or ended["id"] not in receiver.events():
            raise Broken("the signature is not that of this secret")
        return f"{receiver.events()[ended['id']]['type']}, its signature is right"


def metric(room: Room) -> str:
    """The jobs above are counted where Prometheus, or whoever scrapes, sees them."""
    before = room.succeeded_before
    if before is None:
        raise Skipped("name where metrics are: --prometheus URL or --exporter URL")
    now = _eventually(
        lambda: found if (found := _succeeded(room.target)) and found > before else None,
        room.target.patience_s,
        f"{METRIC} stays at {before:g}",
    )
    where = "Prometheus" if room.target.prometheus else "the exporter"
    return f"{METRIC}{{state=succeeded}} from {before:g} to {now:g} in {where}"


STEPS: tuple[tuple[str, Step], ...] = (
    ("health", health),
    ("ready", ready),
    ("project", project),
    ("task", task),
    ("job", job),
    ("webhook", webhook),
    ("metric", metric),
)


def _run_job(room: Room, extra: dict[str, Any]) -> dict[str, Any]:
    target = room.target
    body = {
        "model": target.model,
        "input": "Answer with one word: ready?",
        "params": {"max_tokens": 16},
        "deadline_s": target.patience_s,
        "metadata": {"smoke": "true"},
        **extra,
    }
    accepted = room.gateway.post("/api/jobs", body)
    ended: dict[str, Any] = _eventually(
        lambda: found if (found := _job(room, accepted["id"]))["finished_at"] else None,
        target.patience_s,
        f"{accepted['id']} does not end",
    )
    if ended["state"] != "succeeded":
        raise Broken(f"{ended['id']} {ended['state']}: {(ended['error'] or {}).get('message')}")
    return ended


def _told(room: Room, job_id: str) -> dict[str, Any]:
    told: dict[str, Any] = _eventually(
        lambda: found if (found := _job(room, job_id)["webhook"])["state"] else None,
        room.target.patience_s,
        "no webhook is sent",
    )
    return _eventually(
        lambda: _delivered(_job(room, job_id)["webhook"]),
        room.target.patience_s,
        f"{told['url']} does not take the webhook",
    )


def _delivered(told: dict[str, Any]) -> dict[str, Any] | None:
    if told["state"] in ("failed", "cancelled"):
        raise Broken(f"the webhook failed: {told['last_error']}")
    return told if told["state"] == "succeeded" else None


def _job(room: Room, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = room.gateway.get(f"/api/jobs/{job_id}")
    return found


def _succeeded(target: Target) -> float | None:
    """Jobs that have succeeded, as metrics tell; None where nothing was named."""
    if target.prometheus:
        return succeeded_by_prometheus(target.prometheus)
    if target.exporter:
        return succeeded_by_exporter(target.exporter)
    return None


def _eventually(look: Callable[[], T | None], within_s: float, otherwise: str) -> T:
    deadline = time.monotonic() + within_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise Broken(f"{otherwise} within {within_s:g} s")
        time.sleep(LOOK_S)
    return found
