"""Ports on loopback that stay ours."""

from __future__ import annotations

import random
import socket
from functools import cache

LOW, HIGH = 20_000, 32_000
"""Below the range out of which the kernel gives ports to outgoing connections: it would take one away."""


def free_port() -> int:
    """A port that nobody listens on now, and that this process has not been given before."""
    while True:
        port = random.randint(LOW, HIGH)
        if port not in _given() and _is_free(port):
            _given().add(port)
            return port


@cache
def _given() -> set[int]:
    """Who is given a port does not listen at once: it would be free for the next one too."""
    return set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
