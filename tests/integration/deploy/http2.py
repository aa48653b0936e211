"""A client of HTTP/2 that can do what libraries do not offer: take back one request of a connection."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.integration.deploy.front import Front

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, PING = 1, 3, 4, 6
ACK, END_STREAM, END_HEADERS = 1, 1, 4
CANCEL = 8
STATUS_200 = 0x88
"""The first byte of the headers of an answer with this status: RFC 7541, appendix A."""
PATIENCE_S = 60.0


class Connection:
    """One connection and its requests, each known by the number of its stream."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._received = sock.makefile("rb")
        self._next = 1
        sock.sendall(PREFACE)
        self._send(SETTINGS)

    def get(self, path: str, headers: Mapping[str, str]) -> int:
        """Sends the request; gives its stream."""
        stream, self._next = self._next, self._next + 2
        pseudo = {":method": "GET", ":scheme": "https", ":path": path, ":authority": "localhost"}
        block = b"".join(_literal(*one) for one in {**pseudo, **headers}.items())
        self._send(HEADERS, END_STREAM | END_HEADERS, stream, block)
        return stream

    def reset(self, stream: int) -> None:
        """Takes the request back; the connection goes on."""
        self._send(RST_STREAM, 0, stream, struct.pack("!I", CANCEL))

    def is_ok(self, stream: int) -> bool:
        """Whether the request is answered with 200."""
        while True:
            kind, flags, of, payload = self._frame()
            if kind in (SETTINGS, PING) and not flags & ACK:
                self._send(kind, ACK, 0, payload if kind == PING else b"")
            if kind == HEADERS and of == stream:
                return payload[0] == STATUS_200

    def _send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        head = struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream)
        self._sock.sendall(head + payload)

    def _frame(self) -> tuple[int, int, int, bytes]:
        head = self._received.read(9)
        assert len(head) == 9, "the connection has ended"
        kind, flags, stream = struct.unpack("!BBI", head[3:])
        return kind, flags, stream, self._received.read(int.from_bytes(head[:3], "big"))


def _literal(name: str, value: str) -> bytes:
    """A header that is in no table and enters none."""
    parts = name.encode(), value.encode()
    assert all(len(part) < 127 for part in parts)
    return b"\0" + b"".join(bytes([len(part)]) + part for part in parts)


@contextmanager
def connected(front: Front) -> Iterator[Connection]:
    context = front.trust()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", front.https_port), PATIENCE_S) as plain,
        context.wrap_socket(plain) as sock,
    ):
        assert sock.selected_alpn_protocol() == "h2"
        yield Connection(sock)
