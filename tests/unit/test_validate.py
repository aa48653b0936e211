"""The frame around the validators: what it prints and how it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.validate import __main__ as program
from deploy.validate import tools
from deploy.validate.tools import Tools, Unavailable
from tests.unit.rooms import given_package

HEAD = "import sys\nfrom deploy.validate.tools import Unavailable\ndef check(tools):\n    "
ROOM = {
    "fine": f"{HEAD}tools.run([sys.executable, '-c', ''])",
    "broken": f"{HEAD}tools.run([sys.executable, '-c', 'print(\"line 3: no such word\"); exit(1)'])",
    "nowhere": f"{HEAD}raise Unavailable('apt-get install nowhere')",
}
"""Three artefacts: one is valid, one is not, of one nobody can tell."""


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "checks", given_package(monkeypatch, tmp_path, ROOM))


@pytest.mark.usefixtures("room")
def test_each_artefact_has_a_line_and_one_that_is_wrong_fails_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program.main([]) == 1
    said = capsys.readouterr().out
    assert "validate fine ok" in said
    assert "validate broken FAILED" in said
    assert "line 3: no such word" in said
    assert "validate nowhere skipped: apt-get install nowhere" in said


@pytest.mark.usefixtures("room")
def test_those_that_are_named_are_checked_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["fine", "nowhere"]) == 0
    assert "broken" not in capsys.readouterr().out


@pytest.mark.usefixtures("room")
def test_a_name_that_there_is_not_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        program.main(["compsoe"])
    assert end.value.code == 2
    assert "there is no check compsoe; there are broken, fine, nowhere" in capsys.readouterr().err


def test_what_is_installed_from_debian_is_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    answers = []
    monkeypatch.setattr(tools, "POLICY", policy)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: "x" if name == "apt-get" else None)
    monkeypatch.setattr(
        tools, "_install", lambda *_: answers.append(subprocess.run([policy], check=False))
    )
    with pytest.raises(Unavailable):
        Tools(tmp_path).debian("no-such-server")
    assert {answer.returncode for answer in answers} == {101}
    assert not policy.exists()


def test_a_tool_that_cannot_be_had_is_said_with_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="as root: apt-get install no-such-tool-package"):
        Tools(tmp_path).debian("no-such-tool", "no-such-tool-package")
