"""The receivers of docs/how-to/webhooks.md: they take what the platform signed, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from deploy.docs.blocks import read_blocks
from deploy.validate.servers import free_port
from deploy.validate.tools import Tools, Unavailable
from factory.webhooks.sign import derive_secret, event_body, signed_headers
from tests.acceptance.stack import eventually

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "webhooks.md"
SECRET = derive_secret("0123456789abcdef" * 2, "project")
OTHER = derive_secret("0123456789abcdef" * 2, "another")
BODY = event_body("evt_1", "job.succeeded", datetime.now(UTC), {"id": "job_1", "text": "Ünïcode"})


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_receiver_verifies_what_it_takes(language: str, tmp_path: Path) -> None:
    with _running(language, tmp_path) as url:
        assert _status(url, SECRET) == 204
        assert _status(url, OTHER, SECRET) == 204
        assert _status(url, OTHER) == 401
        assert _status(url, SECRET, body=BODY.replace(b"job_1", b"job_2")) == 401
        assert _status(url, SECRET, sent_at=datetime.now(UTC) - timedelta(hours=1)) == 401
    assert (tmp_path / "said.txt").read_text() == "job.succeeded job_1\n" * 2


def _status(url: str, *secrets: str, body: bytes = BODY, sent_at: datetime | None = None) -> int:
    headers = signed_headers("msg_1", BODY, secrets, sent_at or datetime.now(UTC))
    return httpx.post(
        url, content=body, headers={**headers, "content-type": "application/json"}, timeout=60
    ).status_code


@contextmanager
def _running(language: str, directory: Path) -> Iterator[str]:
    command = _python(directory) if language == "python" else _node(directory)
    port = free_port()
    environ = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with (directory / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=said)
        try:
            url = f"http://127.0.0.1:{port}/hook"
            eventually(lambda: _listens(port))
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _python(directory: Path) -> Sequence[str]:
    return (sys.executable, _written("receiver.py", directory))


def _node(directory: Path) -> Sequence[str]:
    """With the library of the page, from the pinned packages of npm."""
    tools = Tools(ROOT)
    try:
        node, modules = tools.debian("node", "nodejs"), tools.npm()
    except Unavailable as reason:
        pytest.skip(str(reason))
    (directory / "node_modules").symlink_to(modules, target_is_directory=True)
    return (node, _written("receiver.mjs", directory))


def _written(name: str, directory: Path) -> str:
    [code] = [one.code for one in read_blocks(PAGE.read_text(), PAGE.name) if one.file == name]
    (directory / name).write_text(code)
    return name


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
