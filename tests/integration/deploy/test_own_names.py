"""What nginx' image does with nginx.conf before it starts: its own name, certificate and users, and nothing else."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from deploy.validate.tools import Tools, Unavailable
from tests.acceptance.stack import eventually
from tests.integration.reliability.ports import free_port

ROOT = Path(__file__).parents[3]
LIVE = "/etc/letsencrypt/live/api.factory.test"
VARIABLES = {
    "SERVER_NAME": "api.factory.test",
    "SSL_CERT_PATH": f"{LIVE}/fullchain.pem",
    "SSL_KEY_PATH": f"{LIVE}/privkey.pem",
    "FLOWER_BASIC_AUTH": "admin:first,other:second",
}
USER = "user root root;" if os.geteuid() == 0 else ""
"""Root's workers are an ordinary user's otherwise, who cannot look into a test's directory."""
SERVER = """
{user}
daemon off; pid {home}/pid; error_log {home}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ auth_basic "Flower"; auth_basic_user_file {home}/flower.htpasswd; root {home}; }}
    }}
}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the files that the script has made."""
    shutil.copy(ROOT / "deploy/nginx/nginx.conf", tmp_path / "nginx.conf.in")
    environment = {**VARIABLES, "NGINX_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    script = str(ROOT / "deploy/nginx/own-names.sh")
    subprocess.run([script], env=environment, check=True, timeout=60)
    return tmp_path


def test_the_name_and_the_certificate_are_all_that_changes(home: Path) -> None:
    before, after = (
        (home / name).read_text().splitlines() for name in ("nginx.conf.in", "nginx.conf")
    )
    changed = {line[2:].strip() for line in difflib.ndiff(before, after) if line.startswith("+ ")}
    assert changed == {
        "server_name api.factory.test;",
        f"ssl_certificate {LIVE}/fullchain.pem;",
        f"ssl_certificate_key {LIVE}/privkey.pem;",
    }
    assert "yourdomain" not in (home / "nginx.conf").read_text()


def test_nginx_lets_in_who_flower_lets_in(home: Path) -> None:
    try:
        nginx = Tools(ROOT).debian("nginx")
    except Unavailable as reason:
        pytest.skip(str(reason))
    port = free_port()
    (home / "small.conf").write_text(SERVER.format(home=home, port=port, user=USER))
    (home / "page").write_text("flower")
    process = subprocess.Popen([nginx, "-e", str(home / "error.log"), "-c", home / "small.conf"])
    url = f"http://127.0.0.1:{port}/page"
    try:
        assert eventually(lambda: _status(url, "admin", "first")) == 200
        assert _status(url, "other", "second") == 200
        assert _status(url, "admin", "second") == 401
        assert httpx.get(url, timeout=60).status_code == 401
    finally:
        process.terminate()
        process.wait(60)


def _status(url: str, user: str, password: str) -> int:
    try:
        return httpx.get(url, auth=(user, password), timeout=60).status_code
    except httpx.TransportError:
        return 0
