"""A client's connection as the server keeps it between events."""

from __future__ import annotations

import socket
from enum import Enum, auto
from typing import Any

from api.framing import Incoming, Received
from api.sender import send_now


class Phase(Enum):
    """What a connection waits for while no thread works for it. The first ones are closed first to make room."""

    LINGER = auto()
    """Its answer is sent; it stays open until the client has read it."""
    FRESH = auto()
    """New: it has not sent a whole head, and never had an answer."""
    HEAD = auto()
    """It had answers, and is sending its next head."""
    IDLE = auto()
    """It had answers, and sends nothing."""
    BODY = auto()
    """Its head has arrived, its body not yet."""


class ClientSocket(socket.socket):
    """A socket that never blocks: what the client does not take at once is kept for `api.sender`."""

    def __init__(self, given: socket.socket) -> None:
        super().__init__(given.family, given.type, given.proto, fileno=given.detach())
        self.setblocking(False)
        self.rest = bytearray()
        self._held = b""
        self.received_s = 0.0
        """When its request had arrived as a whole, by `time.perf_counter`."""

    def dup(self) -> socket.socket:  # type: ignore[override]  # the copy need not keep anything
        """A plain socket on the same connection."""
        return socket.socket(fileno=socket.dup(self.fileno()))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Takes all of it. A head waits for the first part of its body: that saves a packet."""
        if not self._held and not self.rest and data.endswith(b"\r\n\r\n"):
            self._held = data
            return
        self.push(data)

    def push(self, data: bytes = b"") -> None:
        """Sends what was held, and this. Raises BrokenPipeError where the client has gone."""
        given, self._held = self._held + data, b""
        if self.rest or not given:
            self.rest += given
            return
        sent = send_now(self, given)
        if sent is None:
            raise BrokenPipeError
        if sent < len(given):
            self.rest += given[sent:]

    def take_rest(self) -> bytes:
        """What the client has not taken."""
        rest, self.rest = bytes(self.rest), bytearray()
        return rest


class Connection:
    """One client; `sock`, `client` and `server` are named as gunicorn's own."""

    __slots__ = (
        "client",
        "discarded",
        "held",
        "incoming",
        "phase",
        "received",
        "requests",
        "server",
        "sock",
        "started",
        "until",
    )

    def __init__(self, sock: ClientSocket, client: Any, server: Any) -> None:
        self.sock = sock
        self.client = client
        self.server = server
        self.incoming = Incoming()
        self.received: Received | None = None
        self.phase: Phase | None = None
        self.until = 0.0
        """Monotonic time at which its phase ends."""
        self.started = False
        """Whether a part of a request has come."""
        self.requests = 0
        self.held = 0
        """Bytes that are counted against what all connections may hold."""
        self.discarded = 0
        """Bytes that came after its answer."""
