"""A provider on loopback that keeps what it was sent and says what it was told to say.

It runs in threads of its own, because LiteLLM makes some of its requests in a way that blocks the
event loop they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: its path, its headers in lower case, its body."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Recorder:
    """Gives every POST the same answer: JSON, the bytes as they are, or what a function makes of the request."""

    url: str
    answer: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    def reply(self, sent: Sent) -> bytes:
        self.sent.append(sent)
        answer = self.answer(sent) if callable(self.answer) else self.answer
        return answer if isinstance(answer, bytes) else orjson.dumps(answer)


@contextmanager
def running_recorder() -> Iterator[Recorder]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = recorder.reply(Sent(self.path, headers, body))
            self.send_response(recorder.status)
            extra = {"Content-Type": "application/json", "Content-Length": str(len(reply))}
            for name, value in (extra | recorder.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 512  # a job may make many calls at once

    server = Server(("127.0.0.1", 0), Handler)
    recorder = Recorder(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
