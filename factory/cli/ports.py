"""Choosing TCP ports on this machine, so that two installations never choose the same."""

from __future__ import annotations

import errno
import socket

from factory.errors import Conflict, Misconfigured

FOREIGN = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
HIGHEST_PORT = 32767
"""Above it the kernel hands ports out to outgoing connections (ip_local_port_range)."""


class Ports:
    """Ports that are free and stay reserved against other installations as long as this object lives."""

    def __init__(self, host: str) -> None:
        """Raises Misconfigured if the host is not an address of this machine."""
        demand_own(host)
        self._host = host
        self._claims: list[socket.socket] = []

    def take(self, port: int) -> int:
        """Exactly this port; raises Conflict if it is taken."""
        if not self._claim(port):
            raise Conflict(
                f"port {port} is taken on {self._host}; choose another, or leave it out to have the "
                "next free one",
                param="port",
            )
        return port

    def take_from(self, first: int, kept: int | None = None) -> int:
        """`kept` if it is free, else the first free port from `first` on; Conflict if there is none below 32768."""
        if kept is not None and self._claim(kept):
            return kept
        for port in range(first, HIGHEST_PORT + 1):
            if self._claim(port):
                return port
        raise Conflict(f"no free port from {first} to {HIGHEST_PORT} on {self._host}")

    def close(self) -> None:
        """Ends the reservations; programs that listen go on."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        """Reserves the port by a name in the abstract socket namespace, which is exclusive and ends with its process.
        Until the program listens, another installation would otherwise find the port free.
        """
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0factory-port-{port}")
        except OSError:
            claim.close()
            return False
        if not is_free(self._host, port):
            claim.close()
            return False
        self._claims.append(claim)
        return True


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        _listen_for_a_moment(host, port)
    except OSError:
        return False
    return True


def demand_own(host: str) -> None:
    """Raises Misconfigured for an unknown name, and for an address of another machine."""
    try:
        _listen_for_a_moment(host, 0)
    except OSError as error:
        reason = (
            "it is not an address of this machine" if error.errno in FOREIGN else error.strerror
        )
        raise Misconfigured(f"nothing can listen on {host!r}: {reason}", param="host") from None


def _listen_for_a_moment(host: str, port: int) -> None:
    [family, kind, _, _, address] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind) as probe:
        # As servers do: connections of an earlier server that are still closing do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
