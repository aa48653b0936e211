"""Plain Celery under the same provider and the same witness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg2
from celery import Celery
from redis import Redis

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey, celery_url
from factory.simulator import SimulatorConfig, running_simulator
from tests.acceptance.stack import eventually
from tests.faults.controls.guards import Control
from tests.faults.judge import Verdict
from tests.faults.witness import begun_calls

JOBS, PROCESSES, WORKERS = 16, 4, 2
USUAL_PREFETCH, NO_MORE = 4, 1
"""Messages a process, of Celery's own accord, and as its manual says for long tasks: then both workers hold jobs."""
PROMPT = "{{simulate latency_ms=3000}} Why?"
GIVES_UP_S = 25.0
"""Four times what all calls take, and more than the platform needs after the same fault."""
STARTS_S, STOPS_S = 30.0, 10.0


@dataclass
class Application:
    """Two workers of four processes each, their servers, and who saw what."""

    environment: Mapping[str, str]
    database_url: str
    redis_url: str
    log: Path
    workers: list[subprocess.Popen[bytes]]

    def start_worker(self) -> None:
        """In a process group of its own, to be killed as a machine dies."""
        name = f"naive{len(self.workers)}@localhost"
        options = ("worker", "-c", str(PROCESSES), "-n", name, "--without-mingle", "-l", "ERROR")
        self.workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tests.faults.controls.naive", *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def send(self) -> list[str]:
        """The jobs, once all workers listen."""
        jobs = [f"job-{number}" for number in range(JOBS)]
        with Celery(broker=self.environment["NAIVE_BROKER"]) as app:
            eventually(lambda: len(app.control.ping(timeout=0.5)) == len(self.workers), STARTS_S)
            for job in jobs:
                app.send_task("naive.ask", (job, PROMPT))
        return jobs

    def begun(self) -> Mapping[str, Sequence[object]]:
        return begun_calls(self.log)

    def stored(self) -> Counter[str]:
        """Rows by job."""
        connection = psycopg2.connect(self.database_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT job FROM answers")
            found = Counter(row[0] for row in cursor.fetchall())
        connection.close()
        return found

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(STOPS_S)


@contextmanager
def _running(prefetch: int, *, acks_late: bool) -> Iterator[Application]:
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="controls-")))
        postgres, valkey = EmbeddedPostgres(place / "postgres"), EmbeddedValkey(place / "valkey")
        stack.callback(postgres.stop)
        stack.callback(valkey.stop)
        database_url, redis_url = postgres.start(), valkey.start()
        log = place / "calls.log"
        provider = stack.enter_context(running_simulator(SimulatorConfig(log=log)))
        connection = psycopg2.connect(database_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE answers (job text, answer text)")
        connection.close()
        environment = {
            **os.environ,
            "NAIVE_BROKER": celery_url(redis_url),
            "NAIVE_DATABASE": database_url,
            "NAIVE_PROVIDER": provider.url,
            "NAIVE_ACKS_LATE": "yes" if acks_late else "no",
            "NAIVE_PREFETCH": str(prefetch),
        }
        application = Application(environment, database_url, redis_url, log, [])
        stack.callback(application.stop)
        for _ in range(WORKERS):
            application.start_worker()
        yield application


def kill_a_worker(application: Application) -> None:
    """With all its processes, as when a machine dies; another takes its place."""
    os.killpg(application.workers[0].pid, signal.SIGKILL)
    application.start_worker()


def drop_connections(application: Application) -> None:
    """Everybody loses the connection to the broker once, and nobody dies."""
    with Redis.from_url(application.redis_url) as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal")


def _control(
    fault: str,
    strike: Callable[[Application], None],
    expected: str,
    prefetch: int,
    *,
    acks_late: bool,
) -> tuple[str, Verdict]:
    with _running(prefetch, acks_late=acks_late) as application:
        jobs = application.send()
        eventually(lambda: len(application.begun()) >= PROCESSES * WORKERS, STARTS_S)
        strike(application)
        time.sleep(GIVES_UP_S)
        stored, begun = application.stored(), application.begun()
    return expected, Verdict(
        fault,
        len(jobs),
        faults=1,
        lost=sum(not stored[job] for job in jobs),
        double=sum(max(0, stored[job] - 1) for job in jobs),
        repeats=sum(max(0, len(begun.get(job, ())) - 1) for job in jobs),
        bound=0,
        recovery_p50_s=0.0,
        recovery_p99_s=0.0,
    )


PLAIN_CELERY: Mapping[str, Control] = {
    "celery_acks_early": partial(
        _control, "worker_kill", kill_a_worker, "lost", NO_MORE, acks_late=False
    ),
    "celery_acks_late": partial(
        _control, "worker_kill", kill_a_worker, "lost", NO_MORE, acks_late=True
    ),
    "celery_acks_late_and_a_lost_connection": partial(
        _control, "connections_redis", drop_connections, "repeats", USUAL_PREFETCH, acks_late=True
    ),
}
