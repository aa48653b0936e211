"""How long `factory up` takes with existing data, and which modules the gateway must not load.

The time counts from the command until `/ready` answers 200: Postgres recovered, schema checked, gateway serving. The
second figure counts until a worker lives and the command says so.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, at_most, at_most_times
from benchmarks.stand import Scale, end, until

FACTORY = str(Path(sys.executable).with_name("factory"))
STARTS_S = 90.0
HOST = "127.0.0.1"
# Every module that the gateway has loaded by the time it could serve.
COUNT_LITELLM = """
import sys
import api.wsgi
print(sum(name.partition(".")[0] == "litellm" for name in sys.modules))
"""
IMPORTS = "import api.wsgi, workers.worker, factory.llm.provider"
FLOOR = "the imports alone"
READY_TIMES, COMPLETE_TIMES = 2.0, 2.5
"""Five seconds were some 2.9 times the imports on the machine that the goals were set on."""
OWN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FACTORY_HOME", "FACTORY_URL", "FACTORY_API_KEY")
NOWHERE = {
    "DATABASE_URL": "postgresql://nowhere",
    "REDIS_URL": "redis://nowhere",
    "SECRET_KEY": "a-secret-key-for-the-benchmark-only",
}


@dataclass(frozen=True)
class Start:
    """Seconds from the command on."""

    ready_s: float
    complete_s: float


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 8."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        home = Path(directory) / "home"
        first = _start_up(home)
        again, floors = list[Start](), list[float]()
        for _ in range(scale.runs):
            again.append(_start_up(home))
            floors.append(_bare_s())
    ready_s, complete_s = (
        median(getattr(one, name) for one in again) for name in ("ready_s", "complete_s")
    )
    floor_s = median(floors)
    ready, complete = at_most_times(READY_TIMES), at_most_times(COMPLETE_TIMES)
    note = "until /ready, with data"
    yield Figure("start_up", ready_s, "s", ready, floor_s, FLOOR, note)
    note = "until a worker lives"
    yield Figure("start_up_complete", complete_s, "s", complete, floor_s, FLOOR, note)
    yield Figure("start_up_first", first.ready_s, "s", note="until /ready, without data")
    loaded = _litellm_modules()
    yield Figure("gateway_without_litellm", loaded, "modules", at_most(0), note="of litellm")


def _start_up(home: Path) -> Start:
    """Starts an installation and ends it."""
    port, output, log = free_port(), home.parent / "up.json", home.parent / "up.log"
    started = time.monotonic()
    with output.open("wb") as out, log.open("ab") as err:
        process = subprocess.Popen(
            [FACTORY, "up", "--simulate", "--json", "--port", str(port)],
            env=_environment(FACTORY_HOME=str(home)),
            cwd=home.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        until(lambda: _ready(port), STARTS_S)
        ready_s = time.monotonic() - started
        until(lambda: output.stat().st_size > 0, STARTS_S)
        return Start(ready_s, time.monotonic() - started)
    finally:
        end(process)


def _bare_s() -> float:
    """Seconds of an interpreter that imports what a gateway and a worker import, and ends."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORTS], env=_environment(**NOWHERE), check=True)
    return time.monotonic() - started


def _ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=3)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Below the range from which the kernel gives ports to clients."""
    for port in range(18000, 19000):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise RuntimeError("no free port")


def _litellm_modules() -> int:
    found = subprocess.run(
        [sys.executable, "-c", COUNT_LITELLM],
        env=_environment(**NOWHERE),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout.split()[-1])


def _environment(**variables: str) -> Mapping[str, str]:
    """That of this process without what names an installation, and with these."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return {**kept, **variables}
