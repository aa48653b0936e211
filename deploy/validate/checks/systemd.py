"""The units of deploy/systemd, by `systemd-analyze verify`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from deploy.validate.tools import Invalid, Tools

UNITS = "deploy/systemd"
PROGRAMS = re.compile(r"/opt/agent-factory/venv/bin/\S+")
"""They are not on this machine: that each is a command of the platform, a test tells."""
INSTANCE = "1"
TYPES = ("*.service", "*.target", "*.timer")


def check(tools: Tools) -> None:
    """Raises Invalid with what systemd says of a unit; a warning counts."""
    analyze = tools.debian("systemd-analyze", "systemd")
    with tempfile.TemporaryDirectory() as directory:
        names = [
            _copy(unit, Path(directory))
            for kind in TYPES
            for unit in sorted((tools.root / UNITS).glob(kind))
        ]
        units = [str(Path(directory, name.replace("@.", f"@{INSTANCE}."))) for name in names]
        # Warnings go to stderr and end well: both streams are the finding.
        said = tools.run(["sh", "-c", 'exec "$0" verify --man=no "$@" 2>&1', analyze, *units])
    ours = [line for line in said.splitlines() if any(name in line for name in names)]
    if ours:
        raise Invalid("\n".join(ours))


def _copy(unit: Path, directory: Path) -> str:
    (directory / unit.name).write_text(PROGRAMS.sub("/bin/true", unit.read_text()))
    return unit.name
