"""Where pages lead: each link, and each path of the repository that a page names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.docs.links import anchors, check_links
from deploy.validate.tools import Invalid

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs/decisions"
SECTIONS = ["Context", "Decision", "Consequences"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](docs/nowhere.md)", "README.md:1: there is no docs/nowhere.md"),
        ("[a](docs/page.md#nowhere)", "README.md:1: docs/page.md has no heading #nowhere"),
        ("[a](#nowhere)", "README.md:1: README.md has no heading #nowhere"),
        ("See `factory/nowhere.py`.", "README.md:1: there is no factory/nowhere.py"),
    ],
)
def test_what_leads_nowhere_is_found(tmp_path: Path, text: str, said: str) -> None:
    _given_pages(tmp_path, text)
    with pytest.raises(Invalid, match=re.escape(said)):
        check_links(tmp_path)


def test_a_link_is_followed_from_its_own_page(tmp_path: Path) -> None:
    _given_pages(tmp_path, "")
    (tmp_path / "docs/other.md").write_text("[a](page.md#the-house) [b](../README.md) [c](no.md)\n")
    with pytest.raises(Invalid, match=r"^docs/other\.md:1: there is no no\.md$"):
        check_links(tmp_path)


def test_no_page_leads_nowhere() -> None:
    check_links(ROOT)


def test_what_leads_somewhere_is_counted(tmp_path: Path) -> None:
    text = "[a](docs/page.md#the-house) [b](https://example.com) `docs/page.md` `factory --help`"
    _given_pages(tmp_path, text)
    assert check_links(tmp_path) == "1 links, 1 paths"


def test_a_heading_has_the_anchor_that_sites_make_of_it() -> None:
    assert anchors("# What it's for\n\n## `GET /x` { #get_x }\n") == {"what-its-for", "get_x"}


def test_every_decision_has_its_sections_and_is_in_the_index() -> None:
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    index = (DECISIONS / "index.md").read_text()
    for number, page in enumerate(pages, start=1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
        assert f"]({page.name})" in index


def _given_pages(root: Path, text: str) -> None:
    (root / "docs").mkdir()
    (root / "docs/page.md").write_text("# Page\n\n## The house\n")
    (root / "README.md").write_text(f"{text}\n")
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        (root / name).write_text("# Top\n")
