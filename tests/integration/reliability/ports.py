"""Ports on loopback that stay ours."""

from __future__ import annotations

import random
import socket

LOW, HIGH = 20_000, 32_000
"""Below the range out of which the kernel gives ports to outgoing connections: it would take one away."""


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = random.randint(LOW, HIGH)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
