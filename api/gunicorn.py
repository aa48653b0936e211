"""How gunicorn serves the gateway: `gunicorn -c python:api.gunicorn`, and `-b host:port` where needed.

Threads beat greenlets at the tails here, and a client that waits needs none; see `api.lounge`.
"""

from __future__ import annotations

import gc
import resource
import signal
from types import FrameType
from typing import Any

from api.gateway import gateway_of
from api.waiting import THREADS
from factory.config import settings_or_exit
from factory.log import configure_logging

wsgi_app = "api.wsgi:application"
# Here, and not in each process anew: what is set wrongly ends gunicorn at once, with one message.
settings = settings_or_exit("gunicorn")
configure_logging(settings, "gateway")
logger_class = "api.server_log.ServerLog"
workers = settings.gateway_processes
worker_class = "gthread"
threads = THREADS
graceful_timeout = 30
keepalive = 65
"""Longer than a load balancer keeps its idle connections (60 s), so that it is the one to close them."""
preload_app = False
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Has SIGTERM let waiting requests go first: they are answered, not cut off after 30 s."""
    # What was imported stays: a collection that skips it, and comes more seldom, saves 8 % of a POST.
    gc.freeze()
    gc.set_threshold(20_000)
    # Each client that waits is a descriptor, and 1,024 of them is a common soft limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stop = signal.getsignal(signal.SIGTERM)

    def leave(signum: int, frame: FrameType | None) -> None:
        gateway_of(worker.wsgi).leave()
        if callable(stop):
            stop(signum, frame)

    signal.signal(signal.SIGTERM, leave)


def worker_exit(server: Any, worker: Any) -> None:
    """Writes the last counts and gives the connections back."""
    if worker.wsgi is not None:
        gateway = gateway_of(worker.wsgi)
        gateway.close()
        gateway.services.close()
