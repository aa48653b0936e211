"""The stand that benchmarks run on: real servers, the simulator, and programs pinned to cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.services import Services, connect
from factory.store import leases
from factory.store.migrate import upgrade

MEASURED_CORE = 0
"""The core of the program that is measured; everything else runs on the others."""
OTHER_CORES = sorted(set(range(os.cpu_count() or 1)) - {MEASURED_CORE}) or [MEASURED_CORE]
PROVIDER_NICE = -10
SECRET_KEY = "a-secret-key-for-the-benchmark-only"


@dataclass(frozen=True)
class Scale:
    """How much a run does: `quick` runs fit into 3 minutes in all, full ones into 20."""

    quick: bool
    runs: int
    """How often a benchmark repeats what it takes the median of."""


QUICK = Scale(quick=True, runs=1)
FULL = Scale(quick=False, runs=3)


@dataclass(frozen=True)
class Stand:
    """Running servers. What `start` starts ends with the stand."""

    directory: Path
    variables: Mapping[str, str]
    """The environment that programs of the platform need."""
    database_url: str
    redis_url: str
    simulator_url: str
    services: Services
    stack: ExitStack

    def start(
        self, *command: str, cores: Sequence[int] = OTHER_CORES, **variables: str
    ) -> subprocess.Popen[bytes]:
        """A program on these cores: `start("workers.worker", "--slots", "100", cores=[0])`."""
        log = self.stack.enter_context((self.directory / f"{command[0]}.log").open("ab"))
        process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-m", *command],
            env={**os.environ, **self.variables, **variables},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(end, process)
        return process

    def start_worker(
        self, slots: int, cores: Sequence[int] = (MEASURED_CORE,)
    ) -> subprocess.Popen[bytes]:
        """A worker of all lanes, once it beats."""
        before = self.live_workers()
        process = self.start("workers.worker", "--slots", str(slots), cores=cores)
        until(lambda: self.live_workers() == before + 1)
        return process

    def live_workers(self) -> int:
        """Workers with a fresh heartbeat."""
        with self.services.database.transaction() as tx:
            found = leases.workers(tx, self.services.settings.lease_s)
        return sum(worker.live for worker in found)


@contextmanager
def running_stand(directory: Path) -> Iterator[Stand]:
    """Postgres, Valkey and the simulator, fresh, all off the measured core, as this process is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, OTHER_CORES)
    try:
        with ExitStack() as stack:
            yield _stand(directory, stack)
    finally:
        os.sched_setaffinity(0, before)


def _stand(directory: Path, stack: ExitStack) -> Stand:
    postgres = EmbeddedPostgres(directory / "postgres")
    valkey = EmbeddedValkey(directory / "valkey")
    stack.callback(postgres.stop)
    stack.callback(valkey.stop)
    database_url, redis_url = postgres.start(), valkey.start()
    simulator_url = stack.enter_context(running_simulator())
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "OPENAI_API_KEY": "simulated",
        "OPENAI_BASE_URL": f"{simulator_url}/openai/v1",
        "ANTHROPIC_API_KEY": "simulated",
        "ANTHROPIC_BASE_URL": f"{simulator_url}/anthropic",
        "GOOGLE_API_KEY": "simulated",
        "GEMINI_BASE_URL": f"{simulator_url}/gemini",
        "OLLAMA_BASE_URL": f"{simulator_url}/ollama",
        "WEBHOOK_ALLOW_LOOPBACK": "true",
        "LOG_LEVEL": "WARNING",
    }
    upgrade(database_url)
    settings = Settings(**{name.lower(): value for name, value in variables.items()})
    services = connect(settings, "bench")
    stack.callback(services.close)
    return Stand(directory, variables, database_url, redis_url, simulator_url, services, stack)


@contextmanager
def running_simulator() -> Iterator[str]:
    """The URL of a provider without latency, in a process of its own. Nothing is broken here: it keeps no log.

    A provider is elsewhere and does not wait for this machine's processors, so it goes first, where one may say so.
    """
    command = [sys.executable, "-m", "factory.simulator", "--latency-ms", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, process.pid, PROVIDER_NICE)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            end(process)


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Asks a program to end, and waits until it has."""
    process.terminate()
    process.wait(30)


def until(holds: Callable[[], object], within_s: float = 60.0) -> None:
    """Returns once `holds()` is true; raises TimeoutError when it takes too long."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {within_s:g} s")
        time.sleep(0.02)


def median_of(runs: int, measure: Callable[[], float]) -> float:
    """The median of so many measurements."""
    return median(measure() for _ in range(runs))
