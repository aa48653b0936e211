"""Tools for tests of what is shipped: had, or the test is skipped with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.validate.tools import Tools, Unavailable

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
TOOLS = Tools(ROOT)


def debian(command: str, package: str | None = None) -> Path:
    """The path of a command of a Debian package."""
    try:
        return Path(TOOLS.debian(command, package))
    except Unavailable as reason:
        pytest.skip(str(reason))


def debian_postgres() -> Path:
    """The programs of Debian's Postgres, which knows TLS."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        debian("pg_createcluster", "postgresql")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent
