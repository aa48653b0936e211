"""nginx reads its configuration: `nginx -t`, with a certificate of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.validate.servers import free_port, room, with_places
from deploy.validate.tools import Tools

CERTIFICATE = "/etc/letsencrypt/live/api.yourdomain.com/fullchain.pem"
KEY = "/etc/letsencrypt/live/api.yourdomain.com/privkey.pem"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""Directories that an ordinary user cannot make where Debian's build wants them."""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")


def check(tools: Tools) -> None:
    """Raises Invalid, Unavailable."""
    with room() as directory:
        config = tools.root / "deploy" / "nginx" / "nginx.conf"
        places = {
            "gateway-1:8000": "127.0.0.1:8000",
            "gateway-2:8000": "127.0.0.1:8001",
            # The test binds to them, and an ordinary user cannot.
            "listen 80 ": f"listen 127.0.0.1:{free_port()} ",
            "listen 443 ": f"listen 127.0.0.1:{free_port()} ",
        }
        here = render(tools, config, directory, places)
        tools.run([tools.debian("nginx"), "-t", "-q", "-c", here])


def render(tools: Tools, config: Path, directory: Path, places: Mapping[str, str]) -> Path:
    """The configuration with places of this machine, beside a certificate for them. Raises Invalid."""
    certificate, key = directory / "fullchain.pem", directory / "privkey.pem"
    if not key.exists():
        subject = ("-subj", "/CN=api.yourdomain.com", "-out", certificate)
        command: list[str | Path] = [
            tools.debian("openssl"),
            "req",
            "-x509",
            "-days",
            "2",
            *NEW_KEY,
            key,
            *subject,
        ]
        tools.run(command)
    temporary = "".join(f"{name}_temp_path {directory}/{name};\n    " for name in TEMPORARY)
    own = {
        "server_tokens off;": f"{temporary}server_tokens off;",
        CERTIFICATE: str(certificate),
        KEY: str(key),
        "/run/nginx.pid": f"{directory}/nginx.pid",
        "/var/log/nginx/": f"{directory}/",
        "/etc/nginx/flower.htpasswd": f"{directory}/flower.htpasswd",
    }
    here = directory / "nginx.conf"
    here.write_text(with_places(config.read_text(), {**places, **own}))
    return here
