"""What pages tell a reader to type and to set is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.docs.links import present_pages
from deploy.docs.names import check_names, looked_up, looks_of

ROOT = Path(__file__).parents[2]
LISTED = r"`[\w-]+`(?:,? and |,? or |, | )"
INSIDE = re.compile(rf"((?:{LISTED})+)(?:of|in) `([\w/.-]+\.(?:py|cfg|yml))`")
"""`FAULTS` of `tests/faults/catalog.py`"""


def test_every_name_of_every_page_is_known() -> None:
    check_names(ROOT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`factory jobs bury 7`", "factory jobs has no command bury"),
        ("`factory submit --modle a`", "factory submit has no option --modle"),
        ("```sh\nexport A=$(factory db \\\n  fold)\n```", "factory db has no command fold"),
        ("`make bred`", "there is no target of make bred"),
        ('`make drills DRILLS="node_loss flood"`', "there is no deploy/drills/scenarios/flood.py"),
        ("`python -m tests.fault quick`", "there is no module tests.fault that can be run"),
        ("`python -m pytest tests/unit/test_no.py`", "there is no tests/unit/test_no.py"),
        ("Set WORKER_SLOT.", "there is no variable WORKER_SLOT"),
    ],
)
def test_what_nothing_answers_to_is_found(text: str, said: str) -> None:
    faults = [fault for fault in looked_up("page.md", text, looks_of(ROOT)) if fault]
    assert [fault.partition(": ")[2] for fault in faults] == [said]


def test_files_hold_what_pages_look_for_in_them() -> None:
    found = [
        (name, path)
        for page in present_pages(ROOT)
        for names, path in INSIDE.findall(" ".join((ROOT / page).read_text().split()))
        for name in re.findall(r"`([\w-]+)`", names)
    ]
    assert len(found) > 20
    assert [(name, path) for name, path in found if name not in (ROOT / path).read_text()] == []


def test_the_readme_counts_the_faults() -> None:
    catalog = (ROOT / "tests/faults/catalog.py").read_text().partition("MANY: ")[0]
    faults = re.findall(r'^    "\w+": Fault\(', catalog, re.MULTILINE)
    assert f" in {len(faults)} ways" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "`factory jobs list --state failed | head`",
        "`factory maintenance weekly --wait=10`, `factory --version`",
        '`make load LOAD="--rate 100"`, `python -m venv .venv`',
        "SECRET_KEY_FILE and `LIMITER_REDIS_HOST`; $ANY_OTHER",
    ],
)
def test_what_there_is_is_no_fault(text: str) -> None:
    assert not any(looked_up("page.md", text, looks_of(ROOT)))
