"""A webhook receiver on loopback that accepts only events with a valid signature."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

MOST_BYTES = 4 * 1024 * 1024


class Receiver:
    """What has come in so far; its methods may be called from any thread."""

    def __init__(self, secret: str, url: str) -> None:
        self.url = url
        self._webhook = Webhook(secret)
        self._lock = threading.Lock()
        self._events: dict[str, dict[str, Any]] = {}
        self._forged = 0

    @property
    def forged(self) -> int:
        """How many requests had no valid signature."""
        with self._lock:
            return self._forged

    def events(self) -> dict[str, dict[str, Any]]:
        """The last verified event of each job, by the job's id."""
        with self._lock:
            return dict(self._events)

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Keeps the event; False if nobody who has the secret signed it."""
        try:
            event = self._webhook.verify(body, headers)
        except WebhookVerificationError:
            with self._lock:
                self._forged += 1
            return False
        with self._lock:
            self._events[event["data"]["id"]] = event
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # a bulk of jobs ends almost at once
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), MOST_BYTES)
        verified = self.server.receiver.take(self.rfile.read(length), dict(self.headers))
        self.send_response(204 if verified else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the demo shows what matters."""


@contextmanager
def running_receiver(secret: str) -> Iterator[Receiver]:
    """Listens on a free port of loopback until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(secret, f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
