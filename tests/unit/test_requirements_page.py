"""The page of requirements has every row, and names only what there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "requirements.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| R")
]
COUNT = 49


def test_every_requirement_has_one_row_in_order() -> None:
    assert [row[0] for row in ROWS] == [f"R{number}" for number in range(1, COUNT + 1)]


def test_what_is_met_is_shown_and_what_is_open_says_so() -> None:
    for name, _, shown, state in ROWS:
        assert state.startswith(("met", "open")), name
        assert shown or state.startswith("open: "), f"{name} says neither how nor why not"


def test_every_file_and_every_make_target_that_a_row_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name, _, shown, _ in ROWS:
        for path in re.findall(r"\b(?:tests|deploy|factory)/[\w/.-]+\w", shown):
            assert (ROOT / path).exists(), f"{name} names {path}"
        for target in re.findall(r"`make ([a-z-]+)", shown):
            assert target in targets, f"{name} names make {target}"


def test_every_fault_that_a_row_names_is_made() -> None:
    catalog = (ROOT / "tests" / "faults" / "catalog.py").read_text()
    for name, _, shown, _ in ROWS:
        if "tests.faults" in shown:
            for fault in re.findall(r"(?:--only |`)([a-z0-9]+_[a-z0-9_]+)`", shown):
                assert f'"{fault}"' in catalog, f"{name} names {fault}"


def test_every_check_and_every_drill_that_a_row_names_is_there() -> None:
    for name, _, shown, _ in ROWS:
        for tool, words in re.findall(r"`python -m deploy\.(validate|drills) ([a-z_ ]+)`", shown):
            folder = {"validate": "checks", "drills": "scenarios"}[tool]
            for word in words.split():
                file = ROOT / "deploy" / tool / folder / f"{word}.py"
                assert file.exists(), f"{name} names {tool} {word}"
