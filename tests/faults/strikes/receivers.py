"""Receivers of webhooks: one that is well, one that is down at first, one slow, one that is gone."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.client import Accepted
from tests.faults.scene import Found, Scene
from tests.faults.strikes import calm

DOWN_S = 4.0
"""Shorter than the pause before the second delivery, 5 s; the third would come after minutes."""
SLOW_S = 8.0
DELIVERED_S = 120.0
"""Shorter than the pause before the third delivery."""
PROMPT_S = 2.0


@dataclass(frozen=True)
class Delivery:
    """A request as it came, and the status that it was answered with; 0: the receiver hung up."""

    at: datetime
    job_id: str
    webhook_id: str
    status: int


class Receiver(ThreadingHTTPServer):
    """Answers every request with its status after `delay_s`, and keeps who asked."""

    daemon_threads = True
    request_queue_size = 512  # the jobs of a strike end almost at once

    def __init__(self, status: int, delay_s: float = 0.0, down_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._status = status
        self._down_s = down_s
        self._first_asked: float | None = None
        self.delay_s = delay_s
        self.deliveries: list[Delivery] = []

    def status(self) -> int:
        """0, which is no answer, for `down_s` from the first request on."""
        if self._first_asked is None:
            self._first_asked = time.monotonic()
        up = time.monotonic() - self._first_asked >= self._down_s
        return self._status if up else 0

    def come_up(self) -> None:
        """Answers from now on."""
        self._down_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def handle_error(self, *_: object) -> None:
        """A platform that was killed meanwhile does not hear the answer."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        at, status = datetime.now(UTC), self.server.status()
        time.sleep(self.server.delay_s)
        delivery = Delivery(at, event["data"]["id"], self.headers["webhook-id"], status)
        self.server.deliveries.append(delivery)
        if status:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def four_receivers(scene: Scene) -> Iterator[None]:
    """All four."""
    scene.receivers = {
        "well": Receiver(204),
        "down": Receiver(204, down_s=DOWN_S),
        "slow": Receiver(204, SLOW_S),
        "gone": Receiver(410),
    }
    with serving(scene):
        calm.measure(scene, "openai/gpt-4o-mini")
        yield


@contextmanager
def serving(scene: Scene) -> Iterator[None]:
    """The scene's receivers listen, and the jobs' webhooks go to them in turn."""
    with ExitStack() as stack:
        for receiver in scene.receivers.values():
            threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(receiver.server_close)
            stack.callback(receiver.shutdown)
        scene.hooks = [receiver.url for receiver in scene.receivers.values()]
        yield


def come_back(scene: Scene) -> None:
    """The one that is down has been so since its first event."""
    scene.struck()
    time.sleep(DOWN_S)


def verify(scene: Scene, accepted: Sequence[Accepted]) -> Found:
    """Each event arrived, under one id; who is gone was asked once, who is well waited for nobody."""
    wanted = {one.job_id for one in accepted}
    deadline = time.monotonic() + DELIVERED_S
    while wanted - settled(scene) and time.monotonic() < deadline:
        time.sleep(0.1)
    ids = defaultdict(set)
    for delivery in deliveries(scene):
        ids[delivery.job_id].add(delivery.webhook_id)
    return Found(
        lost=len(wanted - settled(scene)),
        double=sum(len(found) - 1 for found in ids.values()),
        complaints=tuple(_complaints(scene)),
    )


def deliveries(scene: Scene) -> Iterator[Delivery]:
    """Every request that came."""
    for receiver in scene.receivers.values():
        yield from tuple(receiver.deliveries)


def settled(scene: Scene) -> set[str]:
    """The jobs whose events were answered in a way that ends them."""
    return {one.job_id for one in deliveries(scene) if one.status in (204, 410)}


def _complaints(scene: Scene) -> Iterator[str]:
    gone = [one.job_id for one in scene.receivers["gone"].deliveries]
    if len(gone) > len(set(gone)):
        yield "a receiver that is gone was asked again"
    waited = [
        (one.at - scene.ended_at(one.job_id)).total_seconds()
        for one in scene.receivers["well"].deliveries
    ]
    prompt_s = max(PROMPT_S, calm.TWICE * scene.calm_webhooks_s)
    late = sorted(seconds for seconds in waited if seconds > prompt_s)
    if late:
        yield f"{len(late)} events waited for somebody else's receiver, up to {late[-1]:.1f} s"
