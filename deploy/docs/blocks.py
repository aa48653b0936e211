"""The code blocks of pages, and what is to be done with them.

A comment on the line before a block says it; neither a browser nor the site shows it:

    <!-- runnable -->           the block is run by `make docs`, after those before it on the page
    <!-- file: receiver.py -->  the block is written to this file, for the blocks after it

All blocks of a page share one directory and one shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

RUNNABLE = "runnable"
FILE = "file: "
MARK = re.compile(r"\s*<!--\s*(.*?)\s*-->\s*")
SHELL = ("sh", "bash", "shell")
CONSOLE = "console"
UNFINISHED = ("\\", " do", " then", "|", "&&", "{", "(")
"""The end of a line that continues on the next one."""
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, the line that its code begins on, its language, its mark."""

    page: str
    line: int
    language: str
    code: str
    mark: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runnable(self) -> bool:
        return self.mark == RUNNABLE

    @property
    def file(self) -> str | None:
        """What the block is to be written to."""
        return self.mark.removeprefix(FILE) if self.mark.startswith(FILE) else None

    def shell(self) -> str | None:
        """The block as a script; None if it is of another language."""
        if self.language in SHELL:
            return self.code
        return commands(self.code) if self.language == CONSOLE else None


def all_blocks(root: Path) -> list[Block]:
    """Those of every page, in order."""
    pages = sorted({page for pattern in PAGES for page in root.glob(pattern)})
    return [
        block
        for page in pages
        for block in read_blocks(page.read_text(), str(page.relative_to(root)))
    ]


def read_blocks(text: str, page: str) -> Iterator[Block]:
    """The blocks of one page, as CommonMark has them."""
    lines = text.splitlines()
    for token in MarkdownIt("commonmark").parse(text):
        if token.type != "fence" or not token.map:
            continue
        first = token.map[0]
        found = MARK.fullmatch(lines[first - 1]) if first else None
        language = (token.info.split() or [""])[0]
        yield Block(page, first + 2, language, token.content, found[1] if found else "")


def commands(session: str) -> str:
    """What a person typed in a console: the lines behind `$ `, with their continuations."""
    typed, going_on = [], False
    for line in session.splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
        elif going_on:
            typed.append(line)
        going_on = (line.startswith("$ ") or going_on) and line.endswith(UNFINISHED)
    return "".join(f"{line}\n" for line in typed)
