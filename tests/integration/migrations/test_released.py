"""Migrations that a release has brought out stay as they are: databases of before have run them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASE = (ROOT / "tests" / "upgrade" / "BASE").read_text().strip()
FOLDER = "migrations/versions"


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"this clone is without commit {BASE[:7]}: {done.stderr.strip()}")
    return done.stdout


def test_the_release_before_is_part_of_this_history() -> None:
    _git("cat-file", "-e", f"{BASE}^{{commit}}")
    assert _git("merge-base", BASE, "HEAD").strip() == BASE


def test_its_migrations_are_unchanged() -> None:
    names = _git("ls-tree", "--name-only", f"{BASE}:{FOLDER}").split()
    changed = [
        name
        for name in names
        if name.startswith("0")
        and (ROOT / FOLDER / name).read_text() != _git("show", f"{BASE}:{FOLDER}/{name}")
    ]
    assert names
    assert changed == []
