"""Reads YAML within bounds, because a file may be expensive to parse, by intent or by accident."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml

from factory.errors import InvalidInput

LONGEST_BYTES = 1024 * 1024
MOST_VALUES = 25_000
"""As many values as a schema may have, and names. They take two seconds, while the dispatcher goes on."""
DEEPEST = 80
"""A schema in `params` may take 64."""


def load_yaml(path: Path) -> Any:
    """The file's one document. Raises InvalidInput for one beyond the bounds, and what open and PyYAML raise."""
    return yaml.load(_text(path), _Loader)  # noqa: S506 - a safe loader of our own


def _text(path: Path) -> str:
    """The text of a regular file: opening a pipe would wait for a writer, and a device never ends."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise InvalidInput("is not a regular file", param="agent")
    with path.open("rb") as file:
        read = file.read(LONGEST_BYTES + 1)
    if len(read) > LONGEST_BYTES:
        raise InvalidInput(f"longer than {LONGEST_BYTES:,} bytes", param="agent")
    return read.decode()


class _Loader(yaml.SafeLoader):
    """Counts values while it reads: PyYAML takes 100 µs for each, and aliases multiply what they name."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._characters = 0
        self._anchors: dict[str, tuple[int, int]] = {}
        """Values and characters of each anchor's node, with every alias in it replaced."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Raises InvalidInput at the first value too many."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self._anchors:
                self._count(*self._anchors[event.anchor])
            return super().compose_node(parent, index)
        before = self._values, self._characters
        self._count(1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidInput(f"is nested deeper than {DEEPEST} levels", param="agent")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor:
            self._anchors[event.anchor] = (
                self._values - before[0],
                self._characters - before[1],
            )
        return node

    def _count(self, values: int, characters: int) -> None:
        self._values += values
        self._characters += characters
        if self._values > MOST_VALUES:
            raise InvalidInput(
                f"has more than {MOST_VALUES:,} values, those of aliases among them", param="agent"
            )
        if self._characters > LONGEST_BYTES:
            raise InvalidInput(
                f"has more than {LONGEST_BYTES:,} characters, those of aliases among them",
                param="agent",
            )
