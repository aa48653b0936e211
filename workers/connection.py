"""The connection to the broker: retries once a second, and fetches many messages at once.

Celery's own retry pauses grow to 30 s, which would be added to every long outage.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis

from workers import transport

RETRY_S = 1.0
EAGER = {
    redis.Transport: transport.Transport,
    redis.SentinelTransport: transport.SentinelTransport,
}


class SteadyConnection(Connection):
    """A connection that retries once a second, however long the broker is away."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """As kombu's, without growing pauses."""
        pace = {"interval_start": RETRY_S, "interval_step": 0.0, "interval_max": RETRY_S}
        return super().ensure_connection(  # type: ignore[no-untyped-call]
            *args, **{**options, **pace}
        )

    def get_transport_cls(self) -> Any:
        """The transport for the URL: ours if it is Redis, otherwise kombu's."""
        found = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return EAGER.get(found, found)


class SteadyAMQP(AMQP):  # type: ignore[misc]
    """Makes an app's connections; named by `WorkerApp.amqp_cls`."""

    Connection = SteadyConnection
