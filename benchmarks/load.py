"""A client with many connections that are kept alive, each with one request under way.

It writes bytes that are ready and looks for an answer's end, no more: 10 to 20 us a request, so that the
server is what is measured. An answer without Content-Length is an error.
"""

from __future__ import annotations

import math
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

TIMEOUT_S = 60.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What a stretch of requests showed."""

    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers with another status than the expected one."""


def request_bytes(
    method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> bytes:
    """A request of HTTP/1.1 as it is sent."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_at = 0.0
        self._answer = b""

    def send(self, request: bytes, due_at: float) -> None:
        self._answer = b""
        self.due_at = due_at
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Reads what has come; the answer's status once all of it is there."""
        read = self.socket.recv(1 << 16)
        if not read:
            raise ConnectionError("the server closed a connection that is to be kept")
        self._answer += read
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return None
        length = LENGTH.search(head)
        if length is None:
            raise ValueError(f"an answer without a length: {head!r}")
        return int(head[9:12]) if len(body) >= int(length[1]) else None


def load(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    total: int,
    expected: int,
    per_s: float = math.inf,
) -> Load:
    """Sends so many requests, taken from the given ones in turn, at most `per_s` in all.

    A paced request's time counts from the moment at which it was due. Raises OSError and ValueError.
    """
    upcoming, times_s, failed = cycle(requests), list[float](), 0
    count = min(connections, total)
    with selectors.DefaultSelector() as selector:
        started = time.perf_counter()
        due = deque((started + n / per_s, _Connection(port)) for n in range(count))
        for _, connection in due:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        sent = 0
        while len(times_s) < total:
            while due and due[0][0] <= time.perf_counter() and sent < total:
                due_at, connection = due.popleft()
                connection.send(next(upcoming), due_at)
                sent += 1
            waits = bool(due) and sent < total
            patience_s = max(0.0, due[0][0] - time.perf_counter()) if waits else TIMEOUT_S
            ready = selector.select(patience_s)
            if not ready and not waits:
                raise TimeoutError(f"no answer within {TIMEOUT_S:g} s")
            for key, _ in ready:
                connection = key.data
                status = connection.status()
                if status is None:
                    continue
                now = time.perf_counter()
                times_s.append(now - connection.due_at)
                failed += status != expected
                due.append((max(now, connection.due_at + count / per_s), connection))
        took_s = time.perf_counter() - started
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    times_s.sort()
    return Load(
        total / took_s,
        1000 * times_s[len(times_s) // 2],
        1000 * times_s[int(0.99 * (len(times_s) - 1))],
        failed,
    )
