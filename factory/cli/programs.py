"""The programs of an installation; the supervisor starts them together and stops them in reverse order.

So the gateway is the first to go, then the dispatcher, then the workers with what they have in
flight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.config.addresses import bracketed
from factory.embedded.program import Program

GATEWAY_PROCESSES = 2
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
PACKAGES_DIRECTORY = Path(__file__).parents[2]
TASK_COLUMNS = "uuid,state,name,args,routing_key,exception,runtime,retries,started,worker"
WRITE_S = 10.0
"""How long a worker may take, after the longest call, to store its result."""
CUT_S = 10.0
"""How long it may take to cut the calls that did not end within DRAIN_S."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How many programs of each kind, and on which lanes."""

    workers: int = 1
    dispatchers: int = 1
    lanes: str = "all"
    flower: bool = True
    simulator: bool = False
    local_llm: bool = False
    drain_s: float | None = None
    """How long a stop waits for what workers have in flight; None: for the longest call there may be."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the programs listen; `host` is the gateway's, everything else stays on loopback."""

    host: str
    api_port: int
    metrics_port: int
    flower_port: int
    simulator_port: int
    local_llm_port: int
    gateway_metrics_port: int

    def ports(self) -> dict[str, int]:
        """The ports by purpose."""
        return {
            "api": self.api_port,
            "metrics": self.metrics_port,
            "flower": self.flower_port,
            "simulator": self.simulator_port,
            "local_llm": self.local_llm_port,
            "gateway_metrics": self.gateway_metrics_port,
        }

    @property
    def api_url(self) -> str:
        """The gateway's URL on this machine."""
        host = EVERYWHERE.get(self.host, self.host)
        return f"http://{bracketed(host)}:{self.api_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def gateway_metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_metrics_port}/metrics"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def local_llm_url(self) -> str:
        return f"http://127.0.0.1:{self.local_llm_port}/v1"


@dataclass(frozen=True, slots=True)
class Environments:
    """Variables on top of this process's own, by program."""

    platform: Mapping[str, str]
    """For every program but the simulator."""
    providers: Mapping[str, str]
    """For workers, on top of `platform`."""
    flower: Mapping[str, str]
    """For Flower, on top of `platform`: its password stays out of the list of processes."""


def plan_programs(
    layout: Layout,
    addresses: Addresses,
    environments: Environments,
    directory: Path,
    *,
    stop_s: float,
    listening: Callable[[int], bool],
    serving: Callable[[], bool],
) -> list[Program]:
    """`directory` takes the files that programs make for themselves.

    `stop_s`: how long a worker may take to stop, see `stop_time_s`. `listening` tells of a port on loopback,
    `serving` of the whole: a gateway and a live worker.
    """
    programs = []
    if layout.simulator:
        programs.append(_simulator(addresses, directory, listening))
    if layout.local_llm:
        programs.append(_local_llm(addresses, directory, listening))
    if layout.flower:
        programs.append(_flower(addresses, environments))
    programs.append(_exporter(addresses, environments))
    drain_s = stop_s if layout.drain_s is None else layout.drain_s
    programs += [
        _worker(number, layout, environments, drain_s) for number in range(1, layout.workers + 1)
    ]
    programs += [_dispatcher(number, environments) for number in range(1, layout.dispatchers + 1)]
    programs.append(_gateway(addresses, environments, serving))
    return programs


def stop_time_s(call_timeout_s: float, drain_s: float | None) -> float:
    """From SIGTERM on. A stop must not cut a call that will be billed, unless DRAIN_S says so."""
    return (call_timeout_s if drain_s is None else drain_s + CUT_S) + WRITE_S


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    # -P: a package called `api` in the working directory is not ours.
    return (sys.executable, "-P", "-m", module, *arguments)


def _simulator(addresses: Addresses, directory: Path, listening: Callable[[int], bool]) -> Program:
    port = addresses.simulator_port
    log = directory / "simulator.jsonl"
    return Program(
        "simulator",
        _python("factory.simulator", "--quiet", "--log", str(log), "--port", str(port)),
        ready=lambda: listening(port),
    )


def _local_llm(addresses: Addresses, directory: Path, listening: Callable[[int], bool]) -> Program:
    port = addresses.local_llm_port
    options = ("--port", str(port), "--directory", str(directory))
    return Program(
        "local_llm",
        _python("factory.embedded.local_llm", *options),
        ready=lambda: listening(port),
    )


def _flower(addresses: Addresses, environments: Environments) -> Program:
    address = ("--address=127.0.0.1", f"--port={addresses.flower_port}")
    options = (*address, f"--tasks_columns={TASK_COLUMNS}", "--logging=error")
    return Program(
        "flower",
        _python("celery", "-A", "workers.celery_app", "flower", *options),
        env={**environments.platform, **environments.flower},
    )


def _exporter(addresses: Addresses, environments: Environments) -> Program:
    return Program(
        "exporter",
        _python("workers.exporter", "--port", str(addresses.metrics_port)),
        env=environments.platform,
    )


def _worker(number: int, layout: Layout, environments: Environments, drain_s: float) -> Program:
    events = ("--events",) if layout.flower else ()
    return Program(
        f"worker.{number}",
        _python("workers.worker", "--lanes", layout.lanes, *events),
        env={**environments.platform, **environments.providers},
        stop_grace_s=drain_s,
    )


def _dispatcher(number: int, environments: Environments) -> Program:
    return Program(f"dispatcher.{number}", _python("workers.dispatcher"), env=environments.platform)


def _gateway(
    addresses: Addresses, environments: Environments, serving: Callable[[], bool]
) -> Program:
    options = (
        f"--bind={bracketed(addresses.host)}:{addresses.api_port}",
        f"--workers={GATEWAY_PROCESSES}",
    )
    return Program(
        "gateway",
        _python("gunicorn", "-c", "python:api.gunicorn", *options),
        env={
            **environments.platform,
            "GATEWAY_METRICS_PORT": str(addresses.gateway_metrics_port),
        },
        # Gunicorn puts its working directory first on the import path.
        cwd=PACKAGES_DIRECTORY,
        ready=serving,
    )
