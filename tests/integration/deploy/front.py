"""nginx as it is shipped, on ports of this machine."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.validate.checks.nginx import render
from deploy.validate.servers import free_port, listens, room, running
from tests.integration.deploy.tools import DEPLOY, TOOLS, debian

CONFIG = DEPLOY / "nginx" / "nginx.conf"
OTHER_CLIENT = "127.0.0.2"
"""An address with a limit: 127.0.0.1 has none."""


@dataclass(frozen=True)
class Front:
    """A running nginx."""

    directory: Path
    http_port: int
    https_port: int

    def client(self, address: str = "127.0.0.1", secure: bool = True) -> httpx.Client:
        """One that comes from this address of the machine."""
        scheme, port = ("https", self.https_port) if secure else ("http", self.http_port)
        return httpx.Client(
            base_url=f"{scheme}://127.0.0.1:{port}",
            transport=httpx.HTTPTransport(verify=self.trust(), local_address=address),
            timeout=60,
        )

    def trust(self) -> ssl.SSLContext:
        """Takes the certificate of the test's own."""
        context = ssl.create_default_context(cafile=str(self.directory / "fullchain.pem"))
        context.check_hostname = False
        return context

    def log(self) -> str:
        return (self.directory / "access.log").read_text()


@contextmanager
def running_front(
    gateways: tuple[int, int], places: Mapping[str, str], config: Path = CONFIG
) -> Iterator[Front]:
    """nginx before two gateways on these ports."""
    nginx = debian("nginx")
    http_port, https_port = free_port(), free_port()
    with room() as directory:
        directory.chmod(0o755)  # its workers are nobody
        own = {
            "listen 80 ": f"listen 127.0.0.1:{http_port} ",
            "listen 443 ": f"listen 127.0.0.1:{https_port} ",
            "gateway-1:8000": f"127.0.0.1:{gateways[0]}",
            "gateway-2:8000": f"127.0.0.1:{gateways[1]}",
            "/var/www/certbot": f"{directory}/certbot",
        }
        here = render(TOOLS, config, directory, {**own, **places})
        command = [nginx, "-c", here, "-g", "daemon off;"]
        with running(command, directory, lambda: listens(https_port)):
            yield Front(directory, http_port, https_port)
