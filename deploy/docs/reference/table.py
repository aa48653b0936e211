"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Its lines, with an empty one behind it."""
    drawn = [_line(columns), _line(["---"] * len(columns))]
    return [*drawn, *(_line([cell(one) for one in row]) for row in rows), ""]


def cell(text: str) -> str:
    """One line that does not end its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
