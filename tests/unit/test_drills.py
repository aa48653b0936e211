"""The frame around the drills: what it prints and how it ends."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from pkgutil import iter_modules

import pytest

from deploy.drills import __main__ as program
from deploy.drills import scenarios
from deploy.drills.outcome import Outcome
from tests.unit.rooms import given_package

GROUND = """
from contextlib import contextmanager

@contextmanager
def ground(stage):
    print("ground starts")
    yield stage
    print("ground ends")
"""
DRILL = """
from deploy.drills.outcome import Outcome
from deploy.validate.tools import Unavailable
from . import ground as GROUND
SPENDS_GROUND = {spends}

def drill(stage, ground):
    {body}
"""
BODIES = {
    "away": "return Outcome(1.25, 0.0, 0, counted=7)",
    "fine": "return Outcome(1.25, 0.0, 0, counted=7)",
    "lossy": "return Outcome(1.25, 0.0, 2, counted=7)",
    "broken": "raise RuntimeError('it fell over')",
    "nowhere": "raise Unavailable('apt-get install nowhere')",
}


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Five drills of one ground. Two pass, and one of these spends the ground."""
    drills = {name: DRILL.format(body=body, spends=name == "away") for name, body in BODIES.items()}
    package = given_package(monkeypatch, tmp_path, {"__init__": GROUND, **drills})
    monkeypatch.setattr(program, "scenarios", package)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("room")
def test_each_drill_has_a_line_and_one_that_fails_fails_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program.main([]) == 1
    said = capsys.readouterr().out
    assert "drill fine rto_s=1.2 rpo_s=0.0 lost=0 bound=0 of=7 PASS" in said
    assert "drill lossy rto_s=1.2 rpo_s=0.0 lost=2 bound=0 of=7 FAIL" in said
    assert "it fell over" in said
    assert "drill nowhere skipped: apt-get install nowhere" in said


@pytest.mark.usefixtures("room")
def test_those_that_are_named_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["fine", "nowhere", "--quick"]) == 0
    assert "lossy" not in capsys.readouterr().out


@pytest.mark.usefixtures("room")
def test_a_name_that_there_is_not_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        program.main(["flood"])
    assert end.value.code == 2
    assert "there are away, broken, fine, lossy, nowhere" in capsys.readouterr().err


@pytest.mark.usefixtures("room")
def test_drills_share_a_ground_until_one_of_them_fails_or_spends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program.main([])
    assert re.findall(r"^(?:drill|ground) \w+", capsys.readouterr().out, re.M) == [
        *("ground starts", "drill broken", "ground ends"),
        *("ground starts", "drill fine", "drill lossy", "ground ends"),
        *("ground starts", "drill nowhere", "drill away", "ground ends"),
    ]


def test_every_drill_is_in_both_tables_of_the_page() -> None:
    """A drill that is added is measured and told of."""
    page = Path(__file__).parents[2].joinpath("docs/disaster-recovery.md").read_text()
    drills = {one.name for one in iter_modules(scenarios.__path__)}
    assert set(re.findall(r"^\|[^|]+\| `(\w+)` \|", page, re.M)) == drills
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == drills


def test_a_complaint_fails_a_drill_that_lost_nothing() -> None:
    assert not Outcome(0.0, 0.0, 0, complaints=("the old password is still good",)).passed
    assert Outcome(0.0, 0.0, 3, bound=3).passed
