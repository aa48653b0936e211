"""How gunicorn serves the gateway: `gunicorn -c python:api.gunicorn`, and `-b host:port` where needed.

Threads have better tail latencies than greenlets here, and a client that waits needs none; see `api.server` and `api.parked`.
"""

from __future__ import annotations

import gc
import resource
import signal
from types import FrameType
from typing import Any

from api.exposition import Exposition
from api.gateway import gateway_of
from api.waiting import THREADS
from factory import metrics
from factory.config import settings_or_exit
from factory.log import configure_logging
from factory.signal_calls import SignalCalls

OWN_DESCRIPTORS = 200
"""File descriptors that a process needs besides its clients': connections of its own, files."""

wsgi_app = "api.wsgi:application"
# Before the fork: a wrong setting ends gunicorn at once, with one message.
settings = settings_or_exit("gunicorn")
configure_logging(settings, "gateway")
logger_class = "api.server_log.ServerLog"
workers = settings.gateway_processes
worker_class = "api.server.Worker"
threads = THREADS
graceful_timeout = 30
keepalive = 65
"""Longer than a load balancer keeps its idle connections (60 s), so that it is the one to close them."""
worker_connections = 4096
"""Clients of a process at a time; the least important one is closed to make room."""
forwarder_headers = ""
"""No header sets SCRIPT_NAME or PATH_INFO, whoever sends it."""
sendfile = False
preload_app = False
control_socket_disable = True
exposition = (
    Exposition(settings.metrics_host, settings.gateway_metrics_port)
    if settings.enable_metrics
    else None
)


def on_starting(server: Any) -> None:
    """Before the fork: all processes count in one directory."""
    if exposition:
        exposition.open()


def child_exit(server: Any, worker: Any) -> None:
    """The gauges of a process that has ended no longer count."""
    if exposition:
        exposition.forget(worker.pid)


def on_exit(server: Any) -> None:
    """Removes the directory."""
    if exposition:
        exposition.close()


def post_worker_init(worker: Any) -> None:
    """Has SIGTERM let waiting requests go first: they are answered, not cut off after 30 s."""
    # Imported objects stay: a collection that skips them, and runs less often, saves 8 % of a POST.
    gc.freeze()
    gc.set_threshold(20_000)
    # Each client that waits is a descriptor, and 1,024 of them is a common soft limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _share_descriptors(worker, most - OWN_DESCRIPTORS)
    # A look for a setting costs 1 us, and gunicorn makes thirty for a request: as plain attributes they cost nothing.
    vars(worker.cfg).update({name: one.get() for name, one in worker.cfg.settings.items()})
    here = gateway_of(worker.wsgi)
    here.meter.read(metrics.HTTP_CONNECTIONS, lambda: worker.nr_conns + here.parked.count)
    here.meter.read(metrics.HTTP_WAITING, lambda: here.parked.count)
    if exposition:
        exposition.serve()
    stop, calls = signal.getsignal(signal.SIGTERM), SignalCalls()

    def leave(signum: int, frame: FrameType | None) -> None:
        calls.post(here.leave)
        if callable(stop):
            stop(signum, frame)

    signal.signal(signal.SIGTERM, leave)


def _share_descriptors(worker: Any, free: int) -> None:
    """Divides the descriptors between active and parked connections."""
    parked = gateway_of(worker.wsgi).parked
    if free < worker.worker_connections + parked.most:
        worker.worker_connections = min(worker.worker_connections, max(THREADS, free // 2))
        parked.most = max(0, min(parked.most, free - worker.worker_connections))


def worker_exit(server: Any, worker: Any) -> None:
    """Writes the last counts and gives the connections back."""
    if worker.wsgi is not None:
        gateway = gateway_of(worker.wsgi)
        gateway.close()
        gateway.services.close()
