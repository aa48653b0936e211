"""The README as PyPI shows it: its links and pictures lead to the commit on GitHub, as PyPI has no files beside it."""

from __future__ import annotations

import re

GITHUB = re.compile(r"(?:https://|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def published(text: str, origin: str, commit: str) -> str:
    """The text with whole addresses; as it is where the repository is not on GitHub."""
    found = GITHUB.fullmatch(origin)
    if found is None:
        return text
    pages = f"https://github.com/{found[1]}/blob/{commit}"
    files = f"https://raw.githubusercontent.com/{found[1]}/{commit}"

    def whole(link: re.Match[str]) -> str:
        mark, words, path = link.groups()
        # Without `sanitize` GitHub calls an SVG plain text.
        address = f"{files}/{path}?sanitize=true" if mark else f"{pages}/{path}"
        return f"{mark}[{words}]({address})"

    return LINK.sub(whole, text)
