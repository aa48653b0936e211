"""A certificate authority that speaks ACME: pebble, and certbot as its client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.drills.front import NAME, Certificate, own_certificate
from deploy.drills.stage import COMMAND_S, Stage, until
from factory.embedded.child import spawn
from tests.integration.reliability.ports import free_port

STOP_STEPS = ((signal.SIGTERM, 5.0),)
ANSWER_S = 60.0
TRIES = 3
"""The authority waits a few seconds for the answer to a challenge; on a busy machine it may come too late."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Running. It asks for challenges at `http_port` on loopback, whatever name is to be certified."""

    directory: Path
    url: str
    trusted: Path
    roots_url: str
    http_port: int
    certbot: str

    @property
    def live(self) -> Path:
        return self.directory / "config" / "live" / NAME

    def issue(self, *options: str) -> Certificate:
        """Runs certbot to its end: some times, as its timer does. Raises AssertionError with what it said last."""
        for _ in range(TRIES):
            done = self._certbot(*options)
            if done.returncode == 0:
                live = self.live
                return Certificate(live / "fullchain.pem", live / "privkey.pem", self._root())
        raise AssertionError(f"certbot {' '.join(options)}\n{done.stdout}{done.stderr}")

    def _certbot(self, *options: str) -> subprocess.CompletedProcess[str]:
        places = [f"--{one}-dir={self.directory / one}" for one in ("config", "work", "logs")]
        return subprocess.run(
            [
                *(self.certbot, "certonly", "--non-interactive", "--agree-tos"),
                *("--register-unsafely-without-email", "--server", self.url, "-d", NAME),
                *("--key-type", "ecdsa", *places, *options),
            ],
            env={**os.environ, "REQUESTS_CA_BUNDLE": str(self.trusted)},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def _root(self) -> Path:
        path = self.directory / "root.pem"
        answer = httpx.get(self.roots_url, verify=False, timeout=ANSWER_S)  # noqa: S501
        path.write_text(answer.raise_for_status().text)
        return path


@contextmanager
def running_authority(stage: Stage, http_port: int) -> Iterator[Authority]:
    """Raises Unavailable where the packages cannot be had."""
    pebble = stage.tools.debian("pebble")
    names = stage.tools.debian("pebble-challtestsrv", "pebble")
    certbot = stage.tools.debian("certbot")
    directory = stage.directory / "acme"
    own = own_certificate(stage, directory, "localhost")
    port, management, dns = free_port(), free_port(), free_port()
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(own.chain),
        "privateKey": str(own.key),
        "httpPort": http_port,
        "tlsPort": free_port(),
    }
    (directory / "pebble.json").write_text(json.dumps({"pebble": config}))
    off = (
        "-http01",
        "",
        "-https01",
        "",
        "-tlsalpn01",
        "",
        "-management",
        f"127.0.0.1:{free_port()}",
    )
    server = [pebble, "-config", str(directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    resolver = [names, "-dns01", f"127.0.0.1:{dns}", "-defaultIPv6", "", *off]
    environ: Mapping[str, str] = {
        **os.environ,
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "0",
    }
    with (directory / "log").open("ab") as log:
        programs = [
            spawn(one, death_signal=signal.SIGKILL, output=log, env=environ)
            for one in (resolver, server)
        ]
    url = f"https://localhost:{port}/dir"
    try:
        until(lambda: _answers(url))
        roots = f"https://localhost:{management}/roots/0"
        yield Authority(directory, url, own.trusted, roots, http_port, certbot)
    finally:
        for program in programs:
            program.end(STOP_STEPS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, verify=False).status_code == 200  # noqa: S501
    except httpx.TransportError:
        return False
