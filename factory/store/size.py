"""A cheap estimate of a value's size as JSON."""

from __future__ import annotations

from typing import Any

ENOUGH = 4_000_000
"""Bytes from which on the value is not measured further."""
EACH = 16
"""Bytes for a number, and for the syntax around a value."""


def size_of(value: Any) -> int:
    """About how many bytes; 0 for None."""
    if value is None:
        return 0
    size, left = 0, [value]
    while left and size < ENOUGH:
        one = left.pop()
        size += EACH
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, dict):
            size += sum(len(key) for key in one)
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    return size
