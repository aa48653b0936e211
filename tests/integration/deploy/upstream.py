"""What stands behind nginx in its tests: tells what it was asked, streams, and holds answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GATEWAYS_OWN = (("X-Frame-Options", "SAMEORIGIN"), ("X-Content-Type-Options", "nosniff"))
RELEASED_S = 60.0


class Upstream(ThreadingHTTPServer):
    """`/events` sends a second event only when `release` is set; `/hold?s=1` answers after so many seconds."""

    daemon_threads = True
    request_queue_size = 512  # nginx opens as many connections as it has requests

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.release = threading.Event()
        self.port = self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/events":
            self._stream()
            return
        seconds = parse_qs(address.query).get("s", ["0"])[0]
        time.sleep(float(seconds))  # the provider that takes its time
        self._answer()

    def do_POST(self) -> None:
        self._answer(len(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, received: int = 0) -> None:
        seen = {"path": self.path, "received": received, "headers": dict(self.headers)}
        body = json.dumps(seen).encode()
        self.send_response(200)
        for name, value in (*GATEWAYS_OWN, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # nginx has given up
            self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"data: first\n\n")
        self.server.release.wait(RELEASED_S)
        self._chunk(b"data: second\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    server = Upstream()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
