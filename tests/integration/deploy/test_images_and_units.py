"""The Dockerfile and the units of systemd: what their own tools and our rules refuse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.validate.checks import dockerfile, env_template, systemd
from deploy.validate.tools import Invalid, Tools, Unavailable

ROOT = Path(__file__).parents[3]


class Elsewhere(Tools):
    """Artefacts of another directory, by the tools of this checkout."""

    @property
    def home(self) -> Path:
        return ROOT / ".tools"


def passing(check: Callable[[Tools], None], tools: Tools) -> None:
    try:
        check(tools)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("check", [dockerfile.check, systemd.check, env_template.check])
def test_it_is_valid(check: Callable[[Tools], None]) -> None:
    passing(check, Tools(ROOT))


@pytest.fixture
def copied(tmp_path: Path) -> Elsewhere:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    for name in ("docker-compose.yml", ".env.production"):
        shutil.copy(ROOT / name, tmp_path)
    return Elsewhere(tmp_path)


def changed(tools: Tools, name: str, before: str, after: str) -> None:
    file = tools.root / name
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("python:3.11.15-slim-bookworm AS", "python:3.11-slim AS", "no exact version"),
        ("USER 10001:10001", "USER appuser", "the last USER is not"),
        ("COPY alembic.ini ./", "RUN apt-get update", "last stage installs or builds"),
        ("--only-binary=:all: ", "", "not wheels alone"),
        ("STOPSIGNAL SIGTERM\n", "", "no STOPSIGNAL"),
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        ("WORKDIR /app", "WORKDIR /app\nENTRYPOINT gunicorn", "DL3025"),
        ('CMD ["gunicorn"', "CMD gunicorn", "no CMD"),
    ],
)
def test_what_is_wrong_in_the_dockerfile_is_found(
    copied: Elsewhere, before: str, after: str, words: str
) -> None:
    changed(copied, dockerfile.FILE, before, after)
    with pytest.raises(Invalid, match=words):
        passing(dockerfile.check, copied)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Restart=always", "Restart=forever"),
        ("[Service]", "[Sevrice]"),
        ("TimeoutStopSec=6min", "TimeoutStopSecs=6min"),
    ],
)
def test_what_is_wrong_in_a_unit_is_found(copied: Elsewhere, before: str, after: str) -> None:
    changed(copied, "deploy/systemd/agent-factory-worker@.service", before, after)
    with pytest.raises(Invalid, match="agent-factory-worker@"):
        passing(systemd.check, copied)


def test_a_template_that_is_not_of_the_code_is_found(copied: Elsewhere) -> None:
    changed(copied, ".env.production", "LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG")
    with pytest.raises(Invalid, match="not that of the code"):
        passing(env_template.check, copied)
