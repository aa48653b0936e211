"""Each fault: what is broken, how often, and while which jobs run."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import httpx
import psutil
import psycopg2
from redis import Redis
from redis.exceptions import RedisError

from factory.domain.lanes import all_lanes
from factory.embedded.home import Home
from tests.acceptance.stack import Stack, eventually
from tests.faults.judge import Expectation

LONG_S = 60.0
ALL_SUCCEED = Expectation()
NOBODY_DIES = Expectation(nobody_dies=True)


@dataclass
class Scene:
    """A running platform, the dice, and when what was broken."""

    stack: Stack
    dice: random.Random
    job_ids: list[str] = field(default_factory=list)
    faults: list[datetime] = field(default_factory=list)

    def struck(self) -> None:
        """Notes the time of a fault."""
        self.faults.append(datetime.now(UTC))

    def redis(self) -> Redis:
        state = Home(self.stack.home).running_state()
        assert state is not None
        return Redis.from_url(state.redis_url, socket_timeout=2)

    def worker_pids(self) -> list[int]:
        return [one.pid for one in self.stack.programs("workers.worker")]

    def running_worker_pid(self) -> int:
        """One of the workers that hold a job."""
        holders = eventually(
            lambda: [one["pid"] for one in self.stack.workers() if one["running"]], LONG_S
        )
        return int(self.dice.choice(holders))


@dataclass(frozen=True)
class Fault:
    """`strike` breaks something while jobs with these latencies (seconds) are in flight."""

    strike: Callable[[Scene], None]
    share: float = 1.0
    """Of the usual number of jobs."""
    latency_s: tuple[float, float] = (0.05, 2.0)
    expected: Expectation = ALL_SUCCEED
    priority: str = "normal"


def kill_workers(scene: Scene, times: int = 3) -> None:
    for _ in range(times):
        pid = scene.running_worker_pid()
        scene.struck()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda gone=pid: gone not in scene.worker_pids(), LONG_S)
        time.sleep(2.0)  # the pace of the kills


def stop_and_wake_worker(scene: Scene, asleep_s: float = 20.0) -> None:
    """A zombie: it sleeps through its lease, and wakes with calls that it believes to own."""
    pid = scene.running_worker_pid()
    scene.struck()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(asleep_s)
    os.kill(pid, signal.SIGCONT)


def lose_hints(scene: Scene) -> None:
    """The lanes lose their messages, and nothing tells the dispatcher that they did."""
    pids = scene.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        # A stopped worker's pending fetch takes one message; the others lie in their lanes.
        eventually(lambda: sum(scene.redis().llen(lane) for lane in all_lanes()) > 5, LONG_S)
        scene.struck()
        scene.redis().delete(*all_lanes())
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def kill_gateways(scene: Scene, times: int = 4) -> None:
    for _ in range(times):
        found = eventually(scene.stack.gateway_workers, LONG_S)
        scene.struck()
        os.kill(scene.dice.choice(found).pid, signal.SIGKILL)
        time.sleep(0.7)


def kill_dispatchers(scene: Scene, times: int = 2) -> None:
    for _ in range(times):
        found = eventually(lambda: scene.stack.programs("workers.dispatcher"), LONG_S)
        scene.struck()
        os.kill(scene.dice.choice(found).pid, signal.SIGKILL)
        time.sleep(1.5)


def flush_broker(scene: Scene, times: int = 3) -> None:
    for _ in range(times):
        scene.struck()
        scene.redis().flushall()
        time.sleep(1.0)


def kill_broker(scene: Scene) -> None:
    """The broker dies; what keeps the embedded servers starts it again."""
    scene.struck()
    os.kill(_broker_pid(scene), signal.SIGKILL)
    eventually(lambda: _answers(scene), LONG_S)


def stop_and_wake_broker(scene: Scene, asleep_s: float = 8.0) -> None:
    pid = _broker_pid(scene)
    scene.struck()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(asleep_s)
    os.kill(pid, signal.SIGCONT)


def kill_postgres(scene: Scene) -> None:
    """All of Postgres dies at once, in the middle of commits."""
    postmaster = _postmaster_pid(scene)
    scene.struck()
    os.kill(postmaster, signal.SIGQUIT)
    eventually(lambda: _ask(scene, "SELECT 1") == 1, LONG_S)


def stop_and_wake_postgres(scene: Scene, asleep_s: float = 20.0) -> None:
    """For longer than a lease nobody can beat; when Postgres is back, every lease looks expired."""
    scene.running_worker_pid()
    postmaster = psutil.Process(_postmaster_pid(scene))
    family = [postmaster, *postmaster.children(recursive=True)]
    scene.struck()
    for process in family:
        process.suspend()
    time.sleep(asleep_s)
    for process in reversed(family):
        with suppress(psutil.NoSuchProcess):
            process.resume()


def roll_workers(scene: Scene) -> None:
    """A rolling deploy: each worker is told to go, and its successor has come before the next."""
    for pid in scene.worker_pids():
        scene.struck()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda gone=pid: gone not in scene.worker_pids(), LONG_S)
        eventually(lambda: len(scene.stack.workers()) == 2, LONG_S)


def storm(scene: Scene, seconds: float = 10.0) -> None:
    """Every call is answered with 429, for a while."""
    simulator = _simulator_url(scene)
    scene.struck()
    httpx.put(f"{simulator}/_simulator/script", json={"openai": "status=429 retry_after=1"})
    time.sleep(seconds)
    httpx.delete(f"{simulator}/_simulator/script")


def cancel_some(scene: Scene) -> None:
    """Owners change their mind, whatever state their job is in."""
    eventually(lambda: len(scene.job_ids) > 5, LONG_S)
    for _ in range(12):
        scene.struck()
        scene.stack.http.post(f"/api/jobs/{scene.dice.choice(scene.job_ids)}/cancel")
        time.sleep(0.1)


def poison(scene: Scene) -> None:
    """One job kills whatever process calls the provider for it, and is called poison in the end."""
    job_id = scene.stack.submit("{{simulate latency_ms=3000}} poison", max_attempts=10)["id"]
    while not scene.stack.job(job_id)["finished_at"]:
        pid = _ask(scene, HOLDER, job_id.removeprefix("job_"))
        if pid and scene.stack.calls(job_id):
            scene.struck()
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            eventually(
                lambda dead=pid: _ask(scene, HOLDER, job_id.removeprefix("job_")) != dead, LONG_S
            )
        time.sleep(0.1)
    assert scene.stack.job(job_id)["error"]["type"] == "poison_job"


HOLDER = """
SELECT w.pid FROM jobs j JOIN workers w ON w.id = j.worker_id
 WHERE j.id = %s::uuid AND j.state = 'running'
"""


def _ask(scene: Scene, statement: str, *params: object) -> object:
    """The first column of the first row; None when there is none, or no server."""
    state = Home(scene.stack.home).running_state()
    assert state is not None
    try:
        connection = psycopg2.connect(state.database_url, connect_timeout=2)
    except psycopg2.OperationalError:
        return None
    try:
        cursor = connection.cursor()
        cursor.execute(statement, params or None)
        row = cursor.fetchone()
        return row[0] if row else None
    except psycopg2.OperationalError:
        return None
    finally:
        connection.close()


def _postmaster_pid(scene: Scene) -> int:
    pid_file = scene.stack.home / "postgres" / "data" / "postmaster.pid"
    return int(pid_file.read_text().split()[0])


def _broker_pid(scene: Scene) -> int:
    server: Mapping[str, str] = scene.redis().info("server")  # type: ignore[assignment]
    return int(server["process_id"])


def _answers(scene: Scene) -> bool:
    try:
        return bool(scene.redis().ping())
    except RedisError:
        return False


def _simulator_url(scene: Scene) -> str:
    (one,) = scene.stack.programs("factory.simulator")
    port = one.command.split("--port ")[1].split()[0]
    return f"http://127.0.0.1:{port}"


FAULTS: Mapping[str, Fault] = {
    "worker_kill": Fault(kill_workers, latency_s=(0.5, 4.0)),
    "zombie": Fault(stop_and_wake_worker, latency_s=(0.5, 6.0)),
    "lost_hints": Fault(lose_hints),
    "gateway_kill": Fault(kill_gateways),
    "dispatcher_kill": Fault(kill_dispatchers),
    "broker_flush": Fault(flush_broker),
    "broker_kill": Fault(kill_broker),
    "broker_stop": Fault(stop_and_wake_broker),
    "postgres_kill": Fault(kill_postgres, expected=NOBODY_DIES),
    "postgres_stop": Fault(
        stop_and_wake_postgres, latency_s=(1.0, 25.0), share=0.5, expected=NOBODY_DIES
    ),
    "rolling_deploy": Fault(roll_workers, latency_s=(0.5, 4.0), expected=NOBODY_DIES),
    "provider_429_storm": Fault(storm),
    "cancel_race": Fault(cancel_some, expected=Expectation(frozenset({"succeeded", "cancelled"}))),
    "poison_job": Fault(poison, latency_s=(0.5, 3.0), share=0.5),
}
MANY: Mapping[str, Callable[[Scene], None]] = {
    "worker_kill": partial(kill_workers, times=300),
    "gateway_kill": partial(kill_gateways, times=100),
    "dispatcher_kill": partial(kill_dispatchers, times=50),
    "broker_flush": partial(flush_broker, times=50),
}
"""How the full run strikes, where it strikes more often."""
