"""Lanes: one queue per provider and priority, named `<provider>.<priority>`."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from factory.errors import InvalidInput
from factory.providers import PROVIDERS as KNOWN


class Priority(StrEnum):
    """How urgent a job is; the order of the members is the order of service."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    BULK = "bulk"


LOCAL = "local"
WEBHOOK = "webhook"
SEARCH = "search"
OTHER = "other"
PROVIDERS = (*(one.name for one in KNOWN), WEBHOOK, SEARCH, OTHER)
"""`other` carries every provider of LiteLLM that has no lanes of its own. Webhooks and searches, which are
jobs too, have lanes of their own as a provider has.
"""
UNUSUAL = frozenset(one.name for one in KNOWN if not one.usual)
"""Providers that came later. Who serves `other` serves them: an installation that names its lanes does not know them."""

MESSAGE_JOBS = {Priority.HIGH: 1, Priority.NORMAL: 16, Priority.LOW: 16, Priority.BULK: 32}
"""How many job ids one message carries at most: one where latency counts, many where cost does. Those of `normal` carry
many only while many are due.
"""

WEIGHTS = {Priority.HIGH: 8, Priority.NORMAL: 4, Priority.LOW: 2, Priority.BULK: 1}
"""Of so many jobs that start while all priorities wait, so many are of one."""


def lane_provider(provider: str) -> str:
    """The provider part of the lane that serves `provider`."""
    return provider if provider in PROVIDERS else OTHER


def lane_name(provider: str, priority: Priority) -> str:
    """`openai`, HIGH → `openai.high`."""
    return f"{lane_provider(provider)}.{priority}"


@cache
def group_of(lane: str) -> str:
    """The provider part of a lane: what shares the slots that are kept for it."""
    return lane.partition(".")[0]


@cache
def priority_of(lane: str) -> Priority:
    """The priority part of a lane."""
    return Priority(lane.rpartition(".")[2])


def lanes_of(group: str) -> tuple[str, ...]:
    """The lanes that share a group's slots, the most urgent first."""
    return tuple(f"{group}.{priority}" for priority in Priority)


def all_lanes() -> tuple[str, ...]:
    """Every lane, most urgent first within a provider."""
    return tuple(lane for provider in PROVIDERS for lane in lanes_of(provider))


def parse_lanes(patterns: str) -> tuple[str, ...]:
    """Comma-separated lanes, each part may be `*`: `openai.*,*.high,webhook.normal`, or `all`.

    Raises InvalidInput for a pattern that matches no lane.
    """
    chosen: dict[str, None] = {}
    for pattern in (part.strip() for part in patterns.split(",")):
        matched = [lane for lane in all_lanes() if _matches(pattern, lane)]
        if not matched:
            known = ", ".join(PROVIDERS)
            raise InvalidInput(
                f"no lane matches {pattern!r}: use <provider>.<priority> with a provider of {known} "
                f"and a priority of {', '.join(Priority)}; * matches any",
                param="lanes",
            )
        chosen.update(dict.fromkeys(matched))
    return tuple(chosen)


def _matches(pattern: str, lane: str) -> bool:
    if pattern in ("all", "*"):
        return True
    wanted, parts = pattern.split("."), lane.split(".")
    if len(wanted) == 1:
        wanted.append("*")
    if wanted[0] == OTHER and parts[0] in UNUSUAL:
        wanted[0] = parts[0]
    return len(wanted) == 2 and all(w in ("*", p) for w, p in zip(wanted, parts, strict=True))
