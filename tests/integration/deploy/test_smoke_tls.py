"""Smoke and load against servers whose certificate this machine does not know, or that want a password."""

from __future__ import annotations

import json
import ssl
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.load.__main__ import _measure, _parser
from deploy.load.__main__ import main as load
from deploy.smoke.__main__ import main as smoke
from deploy.smoke.metrics import succeeded_by_exporter, succeeded_by_prometheus
from deploy.validate import tools
from factory.errors import Unavailable
from tests.integration.deploy.tools import TOOLS
from tests.integration.settings.certificates import make_authority

pytestmark = pytest.mark.timeout(600)
PASSWORD = "hidden"
READERS = [(succeeded_by_exporter, "/metrics"), (succeeded_by_prometheus, "")]
METRICS = b'# TYPE jobs_finished counter\njobs_finished_total{state="succeeded"} 7\n'
FOUND = json.dumps({"data": {"result": [{"value": [0, "7"]}]}}).encode()
READY = json.dumps({"status": "ok", "redis": {"ok": True, "detail": ""}}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        if path.startswith("/locked"):
            self._answer(401, b"")
        else:
            known = {"/metrics": METRICS, "/api/v1/query": FOUND, "/api/jobs": b"{}"}
            self._answer(200, known.get(path, READY))

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self._answer(404, b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    request_queue_size = 512

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: object) -> None:
        """Whoever does not trust it hangs up."""


@dataclass(frozen=True)
class Secured:
    """A server on loopback, and the file that vouches for it."""

    server: Server
    authority: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Secured]:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    authority = make_authority(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    with Server(context) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Secured(server, authority.certificate)
        server.shutdown()


def _steps(url: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    assert smoke(["--url", url, "--key", "none", "--timeout", "1", "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    return {one["name"]: one for one in steps}


def test_a_gateway_nobody_vouches_for_gets_no_key_until_its_authority_is_named(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    health = _steps(secured.url, capsys)["health"]
    assert health["status"] == "failed"
    assert "is not trusted here" in health["detail"]
    assert "SSL_CERT_FILE" in health["detail"]
    assert secured.server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))
    found = _steps(secured.url, capsys)
    assert found["health"]["status"] == "ok"
    assert "is it the gateway's address?" in found["project"]["detail"]


@pytest.mark.parametrize(("read", "path"), READERS)
def test_metrics_are_read_under_the_same_rules(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, read: Callable[[str], float], path: str
) -> None:
    with pytest.raises(Unavailable, match="SSL_CERT_FILE"):
        read(f"{secured.url}{path}")
    assert secured.server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert read(f"{secured.url}{path}") == 7


@pytest.mark.parametrize(("read", "path"), READERS)
def test_a_refusal_is_told_without_the_password(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, read: Callable[[str], float], path: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))
    url = secured.url.replace("://", f"://me:{PASSWORD}@")
    with pytest.raises(Unavailable) as told:
        read(f"{url}/locked{path}")
    assert told.value.message.startswith(f"{secured.url}/locked")
    assert told.value.message.endswith(" answered 401 Unauthorized")


def test_a_load_begins_with_a_look_that_says_what_is_wrong(
    secured: Secured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--url", secured.url, "--key", "none", "--model", "openai/gpt-4o-mini"]
    assert load([*options, "--seconds", "2", "--out", str(tmp_path)]) == 1
    assert "is not trusted here" in capsys.readouterr().err
    assert secured.server.asked == []


def test_the_load_itself_trusts_nobody_else(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust's own default is to send the key to whoever answers."""
    try:
        TOOLS.python("locust")
    except tools.Unavailable as reason:
        pytest.skip(str(reason))
    target = (secured.url, "none", "openai/gpt-4o-mini")
    assert not _measure(TOOLS, target, _for_seconds(2, tmp_path)).reached
    assert secured.server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))
    # A busy machine sends nothing within two seconds.
    for seconds in (2, 10, 60):
        _measure(TOOLS, target, _for_seconds(seconds, tmp_path))
        if "/api/jobs" in secured.server.asked:
            return
    pytest.fail("it does not trust an authority that SSL_CERT_FILE names")


def _for_seconds(seconds: int, out: Path) -> Namespace:
    asked = ["--seconds", str(seconds), "--rate", "5", "--users", "1", "--out", str(out)]
    return _parser().parse_args(asked)
