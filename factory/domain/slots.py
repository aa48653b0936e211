"""How the slots of a worker are shared among groups of lanes: one group a provider, webhooks and searches.

A hung call keeps its slot for as long as its timeout, so what is lent cannot be called back. Each group has
a reserve on top of the slots that is never lent, and none may have all that is shared.
"""

from __future__ import annotations

import math


def reserve(slots: int) -> int:
    """Slots of each group that no other group ever gets, on top of the worker's `slots`."""
    return max(2, math.ceil(slots / 3))


def lendable(slots: int) -> int:
    """How many of the shared slots one group may have, beyond its reserve."""
    return slots - slots // 5


def capacity(slots: int) -> int:
    """Jobs that one group can have in a worker at once: more than its `slots`, when it is alone."""
    return lendable(slots) + reserve(slots)


def total(slots: int, groups: int) -> int:
    """Jobs in a worker when every one of its groups is full."""
    return slots + groups * reserve(slots)


def kept_free(capacity: int) -> int:
    """Of a group's capacity in all workers, what only projects may have that hold few: a tenth."""
    return max(1, capacity // 10)


def few(capacity: int) -> int:
    """So many jobs a project may hold in a group, and still holds few."""
    return max(1, capacity // 20)
