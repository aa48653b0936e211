"""Patterns of a schema, compiled only where that is cheap.

`(?:(?:a{1000}){1000}){1000}`, 27 characters, takes all memory when `regex` compiles it. All else about
a pattern that the module does in proportion to its length. https://github.com/mrabarnett/mrab-regex
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import regex

from factory.errors import InvalidInput

LONGEST_PATTERN = 2_000
MOST_CHARACTERS = 20_000
"""Of all patterns together; compiling takes some 5 µs each."""
MOST_COPIES = 100_000
"""What repetitions may multiply a pattern to, if each was in the other."""
COUNT = re.compile(r"[{,]\s*(\d+)")


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, each once. Raises InvalidInput for one that is none, as far as that is cheap to tell."""
    found = tuple(dict.fromkeys(patterns))
    if longest := next((one for one in found if len(one) > LONGEST_PATTERN), None):
        raise InvalidInput(
            f"pattern {longest[:50]!r}… is longer than {LONGEST_PATTERN:,} characters"
        )
    if sum(map(len, found)) > MOST_CHARACTERS:
        raise InvalidInput(f"its patterns have more than {MOST_CHARACTERS:,} characters")
    for pattern in found:
        if not is_heavy(pattern):
            compile_pattern(pattern)
    return found


def is_heavy(pattern: str) -> bool:
    """Whether compiling it may take long: then only a child process may try."""
    return math.prod(max(1, int(count[:9])) for count in COUNT.findall(pattern)) > MOST_COPIES


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Raises InvalidInput for what is no pattern."""
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise InvalidInput(f"{pattern[:100]!r} is not a pattern: {error}") from None
    except (RecursionError, OverflowError, ValueError):
        raise InvalidInput(f"{pattern[:100]!r} is not a pattern") from None


def compile_heavy(patterns: tuple[str, ...]) -> None:
    """For a child process: the part of `check_patterns` that may take long."""
    for pattern in patterns:
        compile_pattern(pattern)
