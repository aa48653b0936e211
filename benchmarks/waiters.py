"""`python -m benchmarks.waiters PORT CLIENTS`: so many connections send the request on stdin and wait.

Prints a line when all have sent, and then how many were answered. A process of its own, as a thousand
sockets and their answers are no part of what is measured.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys

ANSWERED_WITHIN_S = 60.0


def main() -> None:
    """Sends, waits, counts."""
    port, clients = (int(argument) for argument in sys.argv[1:])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    request = sys.stdin.buffer.read()
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", port), ANSWERED_WITHIN_S)
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, connection)
        print("sent", flush=True)
        answered = 0
        while selector.get_map() and (ready := selector.select(ANSWERED_WITHIN_S)):
            for key, _ in ready:
                answered += key.data.recv(1 << 16).startswith(b"HTTP/1.1 202")
                selector.unregister(key.data)
                key.data.close()
    print(answered, flush=True)


if __name__ == "__main__":
    main()
