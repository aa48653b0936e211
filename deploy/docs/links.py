"""Checks where pages lead: their links, and the paths of the repository that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from deploy.docs.blocks import PAGES
from deploy.validate.tools import Invalid

RECORDS = ("CHANGELOG.md", "docs/decisions")
"""Pages about the past, which may name what has moved since."""
YOURS = ("deploy/kubernetes/overlays/mine/",)
"""Paths that a reader creates."""
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(
    r"`((?:api|benchmarks|deploy|docs|factory|migrations|tests|workers)/[\w./*-]*[\w*]/?)`"
)
HEADING = re.compile(r"^#+ (.+?)(?:\s*\{ #([\w-]+) \})?$", re.MULTILINE)


def check_links(root: Path) -> str:
    """How many links and names lead to something. Raises Invalid that names each that does not."""
    links = [link for page in all_pages(root) for link in _links(root, page)]
    names = [name for page in present_pages(root) for name in _names(root, page)]
    if faults := [fault for fault in [*links, *names] if fault]:
        raise Invalid("\n".join(faults))
    return f"{len(links)} links, {len(names)} paths"


def all_pages(root: Path) -> list[str]:
    """Every page, by its path in the repository."""
    return sorted({str(path.relative_to(root)) for pattern in PAGES for path in root.glob(pattern)})


def present_pages(root: Path) -> list[str]:
    """The pages that speak of the platform as it is."""
    return [page for page in all_pages(root) if not page.startswith(RECORDS)]


def _links(root: Path, page: str) -> Iterator[str]:
    """A fault for each link, empty where it leads to something."""
    for number, line in _lines(root / page):
        for path, anchor in LINK.findall(line):
            target = (root / page).parent / path if path else root / page
            if not target.exists():
                yield f"{page}:{number}: there is no {path}"
            elif anchor and anchor not in anchors(target.read_text()):
                yield f"{page}:{number}: {path or page} has no heading #{anchor}"
            else:
                yield ""


def _names(root: Path, page: str) -> Iterator[str]:
    for number, line in _lines(root / page):
        for path in NAMED.findall(line):
            known = path.startswith(YOURS) or any(root.glob(path))
            yield "" if known else f"{page}:{number}: there is no {path}"


def _lines(page: Path) -> Iterator[tuple[int, str]]:
    return enumerate(page.read_text().splitlines(), start=1)


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub and MkDocs make them."""
    return {given or _slug(title) for title, given in HEADING.findall(text)}


def _slug(title: str) -> str:
    return re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-")
