"""The commands of pods as processes of this machine: the same words, with paths, ports and servers of the test."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import httpx

from deploy.validate.servers import free_port
from factory.config import Settings, consumed_names
from tests.integration.deploy.kubernetes.cluster import Cluster, Pod

ROOT = Path(__file__).parents[4]
BIN = Path(sys.executable).parent
STARTS_S, STOPS_S = 120.0, 60.0
METRICS = 9090
READ_ONLY = (
    'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
)
"""As readOnlyRootFilesystem has it: nothing can be written but the room, which is the pod's /tmp."""
SECRET = "made-by-chance-5f0c2a91d7e84b36-of-32-letters"
T = TypeVar("T")


def eventually(look: Callable[[], T], within_s: float = STARTS_S) -> T:
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within_s:g} s"
        time.sleep(0.1)
    return answer


class Program:
    """The container of a pod. Its /tmp is `room`, its ports are free ones of this machine."""

    def __init__(self, pod: Pod, cluster: Cluster, room: Path, servers: Mapping[str, str]) -> None:
        self.pod = pod
        self._room = room
        self._ports = {p["containerPort"]: free_port() for p in pod.container.get("ports", ())}
        self._environ = self._environment(cluster, servers)

    def words(self, command: Sequence[str]) -> list[str]:
        """A command of the pod for this machine."""
        found = [word.replace("/tmp/", f"{self._room}/") for word in command]
        if ports := {str(inside): str(here) for inside, here in self._ports.items()}:
            # In one pass: a port of this machine may hold the digits of one inside.
            inside = re.compile("|".join(ports))
            found = [inside.sub(lambda one: ports[one[0]], word) for word in found]
        program = BIN / found[0]
        return [str(program), *found[1:]] if program.exists() else found

    def sealed(self, command: Sequence[str]) -> list[str]:
        """The command with a file system that is read-only, where this account may make one."""
        if not can_seal():
            return list(command)
        return ["unshare", "--mount", "sh", "-c", READ_ONLY, str(self._room), *command]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        log = self._room / f"{self.pod.name}.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                self.sealed(self.words(self.pod.command)),
                cwd=self._room,
                env=self._environ,
                stdout=output,
                stderr=output,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    assert process.wait(STOPS_S) == 0, log.read_text()[-2000:]
                finally:
                    process.kill()

    def run(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """To its end, with more settings."""
        return subprocess.run(
            self.sealed(self.words(self.pod.command)),
            cwd=self._room,
            env={**self._environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=STARTS_S,
        )

    def scraped(self) -> str:
        """What Prometheus gets at the port and path of the pod's annotations."""
        told = self.pod.template["metadata"]["annotations"]
        port = self._ports[int(told["prometheus.io/port"])]
        return httpx.get(f"http://127.0.0.1:{port}{told['prometheus.io/path']}", timeout=30).text

    def holds(self, probe: str, *, within_s: int | None = None) -> bool:
        """Whether the kubelet's look passes now; `within_s` instead of the age that an alive file may have."""
        found = self.pod.container[probe]
        if "httpGet" in found:
            port = self._ports[self.pod.port(found["httpGet"]["port"])]
            return _answers(f"http://127.0.0.1:{port}{found['httpGet']['path']}")
        if "tcpSocket" in found:
            return _listens(self._ports[self.pod.port(found["tcpSocket"]["port"])])
        words = self.words(found["exec"]["command"])
        if within_s:
            words = [word.replace("-60 seconds", f"-{within_s} seconds") for word in words]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    def _environment(self, cluster: Cluster, servers: Mapping[str, str]) -> dict[str, str]:
        settings = {*map(str.upper, Settings.model_fields), *consumed_names()}
        kept = {name: value for name, value in os.environ.items() if name not in settings}
        given = {
            name: value
            for name, value in cluster.config().items()
            if not name.startswith(("DATABASE_", "REDIS_")) and not name.endswith("PORT")
        }
        for one in self.pod.container.get("env", ()):
            if "value" in one:
                given[one["name"]] = f"{self._room}{one['value']}"
        secret = self._room / "SECRET_KEY"
        secret.write_text(SECRET)
        pool = {"DATABASE_POOL_SIZE": cluster.config()["DATABASE_POOL_SIZE"]}
        if METRICS in self._ports and self.pod.component == "gateway":
            given["GATEWAY_METRICS_PORT"] = str(self._ports[METRICS])
        place = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": "/nonexistent",
            "TMPDIR": str(self._room),
        }
        return {**kept, **given, **pool, **place, **servers, "SECRET_KEY_FILE": str(secret)}


@cache
def can_seal() -> bool:
    """Whether this account may mount; root mostly may."""
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "/tmp", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
