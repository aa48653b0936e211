"""The dispatcher's process does all of it, without a cron."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from factory.services import Services
from tests.integration.retention.past import given_ended, places
from workers.dispatcher import Dispatcher

PATIENCE_S = 60.0


@contextmanager
def two_dispatchers(services: Services) -> Iterator[None]:
    """Running on threads: at once over the same database, as in production."""
    dispatchers = [Dispatcher(services) for _ in range(2)]
    loops = [threading.Thread(target=dispatcher.run) for dispatcher in dispatchers]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for dispatcher in dispatchers:
            dispatcher.stop()
        for loop in loops:
            loop.join(timeout=PATIENCE_S)


def test_running_dispatchers_archive_what_has_ended(services: Services) -> None:
    job_ids = [given_ended(services) for _ in range(20)]
    with two_dispatchers(services):
        deadline = time.monotonic() + PATIENCE_S
        while {p for job_id in job_ids for p in places(services, job_id)} != {"jobs_archive"}:
            assert time.monotonic() < deadline, "jobs are still among the live ones"
            time.sleep(0.05)
    assert [places(services, job_id) for job_id in job_ids] == [["jobs_archive"]] * 20
