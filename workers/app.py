"""The Celery app: its settings, its lanes, and how a worker is run.

The reason for a setting stands beside it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs

from celery import Celery, signals
from celery.apps import worker as apps_worker
from celery.platforms import SecurityWarning
from kombu.entity import Exchange, Queue

from factory.config import Settings
from factory.config.tls import without_tls_options
from factory.domain.lanes import all_lanes
from factory.redaction import Redactor
from factory.services import NO_TLS, SENTINEL_MASTER, sentinel_options
from factory.signal_calls import SignalCalls
from workers.bridge import CoroutineTask
from workers.loop import LoopContext
from workers.transport import RoomStep

if TYPE_CHECKING:
    from workers.events import JobEvents

FLOWER_HEARTBEAT_S = 5

log = logging.getLogger(__name__)


class WorkerApp(Celery):  # type: ignore[misc]
    """A Celery app whose tasks are coroutines."""

    task_cls = CoroutineTask
    amqp_cls = "workers.connection:SteadyAMQP"
    events_cls = "workers.events:Events"
    loop_contexts: list[LoopContext]
    """Opened on the pool's loop before the first message, in order; closed after the last."""
    redactor: Redactor | None = None
    """Takes secrets out of events."""
    job_events: JobEvents | None = None
    """In a worker: reports its jobs to Flower."""
    drain_s: float | None = None
    """How long a warm shutdown waits for what runs before it turns cold; None: as long as it takes."""

    def run_worker(
        self,
        lanes: Sequence[str],
        slots: int,
        *,
        events: bool = False,
        hostname: str | None = None,
    ) -> NoReturn:
        """Runs a worker of these lanes and exits with its code.

        `events` feed Flower and cost 40 % of the rate of tasks that do nothing.

        Celery's command line is not used: it loads a shell and Flower, 10 MB, and drops the exit code, so that a
        worker which could not start seems to have succeeded.
        """
        _silence()
        worker = self.Worker(
            hostname=hostname,
            queues=",".join(lanes),
            concurrency=slots,
            loglevel="WARNING",
            quiet=True,  # the banner is one line per lane
            task_events=events,
            # Gossip and mingle are O(n²) messages among workers that do not need each other. Only Flower needs
            # heartbeats: it would not notice a worker that started before it.
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=not events,
            heartbeat_interval=FLOWER_HEARTBEAT_S,
        )
        worker.start()
        raise SystemExit(worker.exitcode)


def _silence() -> None:
    """Leaves logging to `factory.log`: Celery would set its own levels, and print its start and end."""
    signals.setup_logging.connect(_is_configured, weak=False)
    calls = SignalCalls()
    # What it prints from signal handlers: how it was told to end.
    apps_worker.safe_say = lambda message, *_: calls.post(log.info, "%s", message)
    # In a container every process may be root of it.
    warnings.simplefilter("ignore", SecurityWarning)


def _is_configured(**_: object) -> None:
    """Tells Celery that somebody has configured logging."""


def create_app(
    broker_url: str, tls: Mapping[str, Any] = NO_TLS, sentinel_password: str | None = None
) -> WorkerApp:
    """An app for the broker at redis://, rediss://, sentinel://, or a socket: unix:// as redis-py has it.

    The group that a Sentinel watches is the URL's `?master_name=`, by default SENTINEL_MASTER.
    `tls`: as `Settings.redis_tls_options` gives it.
    """
    sentinels = sentinel_options(tls, sentinel_password)
    url, transport_options = _transport(without_tls_options(broker_url), sentinels)
    app = WorkerApp("factory", broker=url, set_as_current=False)
    app.loop_contexts = []
    app.steps["consumer"].add(RoomStep)
    app.conf.update(
        worker_pool="workers.pool:AsyncioPool",
        **_message_settings(),
        **_broker_settings(transport_options, tls),
        **_process_settings(),
    )
    return app


def create_app_for(settings: Settings) -> WorkerApp:
    """An app for the broker of the settings."""
    return create_app(
        settings.redis_url, settings.redis_tls_options, settings.redis_sentinel_password
    )


def _message_settings() -> dict[str, Any]:
    return {
        # A message is a hint. Results, retries and delays are in Postgres.
        "task_ignore_result": True,
        "result_backend": None,
        "task_serializer": "json",
        "accept_content": ["json"],
        # With late acks, a dropped connection would start every running task a second time.
        "task_acks_late": False,
        "task_queues": [_queue(lane) for lane in all_lanes()],
        "task_default_queue": all_lanes()[0],
        # A typing error in a lane's name must not fill a queue that nobody reads.
        "task_create_missing_queues": False,
    }


def _broker_settings(transport_options: dict[str, Any], tls: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # Kombu verifies certificates only if it is told to; Flower reads this too.
        "broker_use_ssl": dict(tls) or None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # for ever
        "broker_transport_options": {
            # Without it a publish hangs for 40 s and more while Redis is stopped.
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # No retry_on_timeout: with it kombu does not batch, and a send costs twice as much.
            # Each priority has its own lane. Kombu's default would watch four keys per lane.
            "priority_steps": [0],
            "queue_order_strategy": "workers.transport:LanesInTurn",
            **transport_options,
        },
    }


def _process_settings() -> dict[str, Any]:
    return {
        # Messages stay in Redis until a slot is free.
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        # Celery would lower the prefetch count after a reconnect and raise it with each ack. Without
        # prefetching that has no effect.
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_disable_rate_limits": True,
        "worker_hijack_root_logger": False,  # factory.log has configured it
        "worker_redirect_stdouts": False,
    }


def _transport(broker_url: str, sentinels: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL as kombu spells it, and the transport options that only a Sentinel needs."""
    # Not urlsplit: several Sentinels are several URLs, joined by semicolons.
    address, _, query = broker_url.partition("?")
    options = parse_qs(query)
    if address.startswith("sentinel://"):
        name = options.get("master_name", [SENTINEL_MASTER])[0]
        return address, {
            "master_name": name,
            "sentinel_kwargs": dict(sentinels),
        }
    if address.startswith("unix://"):
        path = address.removeprefix("unix://")
        return f"redis+socket://{path}?virtual_host={options.get('db', ['0'])[0]}", {}
    return broker_url, {}


def _queue(lane: str) -> Queue:
    """Publishers name only the queue: with an exchange and a key, all messages are dropped after a FLUSHALL.

    Consumed without acknowledgements, see `workers.request`.
    """
    exchange = Exchange(lane, type="direct")  # type: ignore[no-untyped-call]
    return Queue(lane, exchange, routing_key=lane, no_ack=True)  # type: ignore[no-untyped-call]
