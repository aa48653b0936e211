"""nginx in front of the gateways, with production's configuration except for paths and ports."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.drills.platform import Gateway, answers
from deploy.drills.stage import Stage, until
from factory.embedded.child import Child, spawn
from tests.integration.reliability.freeze import children_of
from tests.integration.reliability.ports import free_port

CONF = Path(__file__).resolve().parents[1] / "nginx" / "nginx.conf"
NAME = "api.yourdomain.com"
STOP_STEPS = ((signal.SIGQUIT, 10.0), (signal.SIGTERM, 5.0))
GATEWAY_STOPS = ((signal.SIGTERM, 60.0),)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files, and who vouches for them."""

    chain: Path
    key: Path
    trusted: Path


@dataclass
class Front:
    """A running nginx. `down` are ports of gateways that get no requests."""

    directory: Path
    http_port: int
    https_port: int
    certificate: Certificate
    gateways: Sequence[Gateway]
    program: str
    down: set[int] = field(default_factory=set)
    process: Child | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.https_port}"

    @property
    def conf(self) -> Path:
        return self.directory / "nginx.conf"

    @property
    def webroot(self) -> Path:
        """Where certbot answers challenges."""
        return self.directory / "certbot"

    def write(self) -> None:
        """The file as it should be now."""
        self.conf.write_text(self._text(CONF.read_text()))

    def reload(self) -> None:
        """Returns when all processes of before are gone, with the requests that they had."""
        assert self.process is not None
        self.write()
        before = set(children_of(self.process.pid))
        self.process.send(signal.SIGHUP)
        until(lambda: before.isdisjoint(children_of(self.process.pid)))  # type: ignore[union-attr]

    def serve(self, certificate: Certificate) -> None:
        """From now on this one."""
        self.certificate = certificate
        self.reload()

    def replace_all(self, start: Callable[[int], Gateway]) -> None:
        """Each gateway by one that `start` starts on its port, one after the other."""
        self.gateways = [self._replace(one, start) for one in self.gateways]

    def _replace(self, gateway: Gateway, start: Callable[[int], Gateway]) -> Gateway:
        """Taken out and ended; the new one is taken in when it is ready."""
        self.down.add(gateway.port)
        self.reload()
        gateway.process.end(GATEWAY_STOPS)
        new = start(gateway.port)
        until(lambda: answers(new))
        self.down.discard(gateway.port)
        self.reload()
        return new

    def _text(self, text: str) -> str:
        servers = "".join(
            f"        server 127.0.0.1:{one.port} max_fails=1 fail_timeout=2s{self._state(one)};\n"
            for one in self.gateways
        )
        logs, tls = self.directory, self.certificate
        for pattern, new in (
            (r"(?m)(^ +server gateway-\d:8000 max_fails=1 fail_timeout=2s;\n)+", servers),
            (r"pid [^;]+;", f"pid {logs}/nginx.pid;\ndaemon off;\n{self._user()}"),
            (r"error_log [^;]+ warn;", f"error_log {logs}/error.log warn;"),
            (r"access_log /[^;]+;", f"access_log {logs}/access.log json;"),
            (r"(?m)^    log_format", f"{self._temporary()}    log_format"),
            (r"listen 80 ", f"listen 127.0.0.1:{self.http_port} "),
            (r"listen 443 ", f"listen 127.0.0.1:{self.https_port} "),
            (r"ssl_certificate [^;]+;", f"ssl_certificate {tls.chain};"),
            (r"ssl_certificate_key [^;]+;", f"ssl_certificate_key {tls.key};"),
            (r"root /var/www/certbot;", f"root {self.webroot};"),
            (r"auth_basic_user_file [^;]+;", f"auth_basic_user_file {logs}/flower.htpasswd;"),
        ):
            text, found = re.subn(pattern, lambda _, new=new: new, text)  # type: ignore[misc]
            assert found, f"{CONF} has no {pattern}"
        return text

    def _state(self, gateway: Gateway) -> str:
        return " down" if gateway.port in self.down else ""

    def _user(self) -> str:
        """Nginx as root gives its workers to www-data, who cannot enter a directory of root's."""
        return "user root;"

    def _temporary(self) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return "".join(f"    {kind}_temp_path {self.directory}/{kind};\n" for kind in kinds)


@contextmanager
def running_front(
    stage: Stage,
    gateways: Sequence[Gateway],
    certificate: Certificate,
    http_port: int | None = None,
) -> Iterator[Front]:
    """Ready, and ended after the block. Raises Unavailable where nginx cannot be had."""
    program = stage.tools.debian("nginx")
    directory = stage.directory / "nginx"
    directory.mkdir()
    front = Front(directory, http_port or free_port(), free_port(), certificate, gateways, program)
    front.webroot.mkdir()
    front.write()
    with (directory / "out").open("wb") as out:
        front.process = spawn(
            [program, "-c", front.conf, "-e", directory / "error.log"],
            death_signal=signal.SIGTERM,
            output=out,
        )
    try:
        until(lambda: _serves(front))
        yield front
    finally:
        front.process.end(STOP_STEPS)


def _serves(front: Front) -> bool:
    assert front.process is not None
    if not front.process.running:
        raise AssertionError((front.directory / "out").read_text())
    try:
        return httpx.get(f"{front.url}/health", verify=False).status_code == 200  # noqa: S501
    except httpx.TransportError:
        return False


def own_certificate(stage: Stage, directory: Path, *names: str) -> Certificate:
    """One that vouches for itself."""
    openssl = stage.tools.debian("openssl")
    directory.mkdir(parents=True, exist_ok=True)
    chain, key = directory / "own.pem", directory / "own.key"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    options = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={names[0]}")
    files = ("-keyout", key, "-out", chain, "-addext", f"subjectAltName={alternatives}")
    stage.tools.run([openssl, "req", "-x509", *options, *files])
    return Certificate(chain, key, chain)
