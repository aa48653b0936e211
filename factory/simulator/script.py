"""The grammar in which a caller tells the simulator how slow to be and how to fail.

    latency_ms=50..2000 tail=1%:60000 status=429 times=2 retry_after=3

docs/simulator.md is the page for its users.

Words, in any order: `latency_ms=N` or `latency_ms=LOW..HIGH`; `tail=P%:MS` (P percent of calls take
MS instead); at most one act of `status=CODE`, `hang`, `cut`, `garbage`, `tool=NAME`, `odd=NAME`; `times=N`
(the act happens to the first N calls with the same key, default: to all); `retry_after=S`; `left=N`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from factory.errors import InvalidInput
from factory.simulator.odd import ODDITIES


class Kind(StrEnum):
    """What a script can do to a call instead of letting it be answered."""

    STATUS = "status"
    """Answered with an HTTP error, in the provider's own shape."""
    HANG = "hang"
    """Never answered; the call ends when the client goes."""
    CUT = "cut"
    """Half of the answer, then a reset of the connection."""
    GARBAGE = "garbage"
    """200 with a body that is not JSON."""
    TOOL = "tool"
    """Answered, by a call of the tool that the script names."""
    ODD = "odd"
    """Answered, in one of the ways of `factory.simulator.odd` that the script names."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A uniform distribution, in milliseconds."""

    low_ms: float
    high_ms: float


NO_LATENCY = Latency(0, 0)


@dataclass(frozen=True, slots=True)
class Tail:
    """A share of calls (0 to 1) that takes `latency_ms` whatever the distribution says."""

    share: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Act:
    """What happens to the first `times` calls with one key; `times` None: to every call."""

    kind: Kind
    status: int = 200
    retry_after_s: float | None = None
    left: int = 0
    tool: str | None = None
    odd: str | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A parsed script; what it does not name is None, and left to a more general one."""

    text: str
    latency: Latency | None = None
    tail: Tail | None = None
    act: Act | None = None


_NUMBER = r"\d+(?:\.\d+)?"
WORDS: dict[str, re.Pattern[str]] = {
    "latency_ms": re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER}))?"),
    "tail": re.compile(rf"({_NUMBER})%:({_NUMBER})"),
    "status": re.compile(r"([45]\d\d)"),
    "tool": re.compile(r"([\w-]+)"),
    "odd": re.compile(rf"({'|'.join(ODDITIES)})"),
    "times": re.compile(r"(\d+)"),
    "retry_after": re.compile(rf"({_NUMBER})"),
    "left": re.compile(r"(\d+)"),
    "hang": re.compile(""),
    "cut": re.compile(""),
    "garbage": re.compile(""),
}
_DIRECTIVE = re.compile(rb"\{\{simulate ([^{}]*)\}\}")


@lru_cache(maxsize=1000)
def parse_script(text: str) -> Script:
    """Raises InvalidInput (`param` names the word) for anything outside the grammar."""
    words = {}
    for word in text.split():
        name, _, value = word.partition("=")
        match = WORDS[name].fullmatch(value) if name in WORDS else None
        if match is None:
            raise InvalidInput(f"simulator script: cannot read {word!r}", param=name)
        words[name] = match.groups()
    return Script(text, _latency(words), _tail(words), _act(words))


def find_directive(body: bytes) -> str | None:
    """The script in the last `{{simulate …}}` of a request's raw body, None without one."""
    if b"{{simulate " not in body:
        return None
    found = _DIRECTIVE.findall(body)
    return found[-1].decode() if found else None


_Words = dict[str, tuple[str | None, ...]]


def _number(words: _Words, name: str) -> float | None:
    first = words.get(name, (None,))[0]
    return None if first is None else float(first)


def _latency(words: _Words) -> Latency | None:
    if "latency_ms" not in words:
        return None
    low, high = words["latency_ms"]
    latency = Latency(float(low or 0), float(high or low or 0))
    if latency.high_ms < latency.low_ms:
        raise InvalidInput("simulator script: latency_ms must be LOW..HIGH", param="latency_ms")
    return latency


def _tail(words: _Words) -> Tail | None:
    if "tail" not in words:
        return None
    percent, latency_ms = words["tail"]
    return Tail(float(percent or 0) / 100, float(latency_ms or 0))


def _act(words: _Words) -> Act | None:
    kinds = [kind for kind in Kind if kind in words]
    if len(kinds) > 1:
        raise InvalidInput(f"simulator script: choose one of {', '.join(kinds)}", param=kinds[1])
    if not kinds:
        return None
    times = _number(words, "times")
    return Act(
        kind=kinds[0],
        status=int(_number(words, "status") or 200),
        retry_after_s=_number(words, "retry_after"),
        left=int(_number(words, "left") or 0),
        tool=words.get("tool", (None,))[0],
        odd=words.get("odd", (None,))[0],
        times=None if times is None else int(times),
    )


def draw_latency_ms(latency: Latency, tail: Tail | None, random: Callable[[], float]) -> float:
    """One latency in milliseconds; `random` gives numbers in [0, 1), always two of them."""
    position, luck = random(), random()
    if tail is not None and luck < tail.share:
        return tail.latency_ms
    return latency.low_ms + position * (latency.high_ms - latency.low_ms)
