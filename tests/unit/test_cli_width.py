"""What people read fits a terminal of 80 columns."""

from __future__ import annotations

from factory.cli.after_restore import CHOICES
from factory.cli.maintenance import report_lines
from factory.pipeline.upkeep.maintenance import Report

COLUMNS = 80


def test_the_names_of_what_was_maintained_are_folded() -> None:
    names = [f"job_contents_2026_11_{day:02}" for day in range(1, 31)]
    lines = list(report_lines(Report(reindexed=names)))
    assert max(map(len, lines)) <= COLUMNS
    assert " ".join(" ".join(lines).split()) == f"reindexed: {', '.join(names)} nothing found"


def test_the_choices_after_a_restore_fit() -> None:
    assert max(map(len, CHOICES.splitlines())) <= COLUMNS
