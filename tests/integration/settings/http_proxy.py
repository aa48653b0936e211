"""A small HTTP proxy on loopback: CONNECT and absolute requests, and a record of what it was asked for.

It leads every request to one upstream, as if that were the host that was named: nothing leaves the machine.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.integration.settings.tls_front import CHUNK, pump

LONGEST_HEAD = 65_536


@dataclass
class HttpProxy:
    port: int
    upstream: tuple[str, int]
    login: str | None = None
    """`user:password` that it wants."""
    refuses: bool = False
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        login = f"{self.login}@" if self.login else ""
        return f"http://{login}127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """First lines, without the version."""
        return [head.partition(" HTTP/")[0] for head in self.heads]

    def serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head, rest = _read_head(client)
            self.heads.append(head)
            if self.login and _wanted(self.login) not in head:
                client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                return
            if self.refuses:
                client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
                return
            server = socket.create_connection(self.upstream)
            if head.startswith("CONNECT "):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                method, url, version = head.split("\r\n", 1)[0].split(" ")
                path = "/" + url.split("/", 3)[3]
                first = f"{method} {path} {version}\r\n" + head.split("\r\n", 1)[1]
                server.sendall(first.encode() + rest)
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            pump(client, server)


@contextmanager
def running_http_proxy(upstream: tuple[str, int], login: str | None = None) -> Iterator[HttpProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = HttpProxy(listener.getsockname()[1], upstream, login)
        threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
        yield proxy
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, proxy: HttpProxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()


def _read_head(client: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < LONGEST_HEAD:
        data += client.recv(CHUNK)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode() + "\r\n\r\n", rest


def _wanted(login: str) -> str:
    return f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}"
