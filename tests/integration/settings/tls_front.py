"""A front before a server without TLS: clients that greet with TLS are served so, others as they are."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TLS_HANDSHAKE = b"\x16"
CHUNK = 65_536


@contextmanager
def running_front(
    upstream: tuple[str, int] | str, certificate: Path, key: Path, port: int = 0
) -> Iterator[int]:
    """Its port on loopback; `upstream` is host and port, or the path of a socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=_accept, args=(listener, context, upstream), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, context: ssl.SSLContext, upstream: tuple[str, int] | str
) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, context, upstream), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, upstream: tuple[str, int] | str) -> None:
    with suppress(OSError):
        if client.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            client = context.wrap_socket(client, server_side=True)
        server = socket.socket(socket.AF_UNIX if isinstance(upstream, str) else socket.AF_INET)
        server.connect(upstream)
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)
    client.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
