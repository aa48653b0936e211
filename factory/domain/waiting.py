"""What a job waits for while no worker holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class WaitType(StrEnum):
    """What ends a wait, and who queues the job then.

    TIME      a dispatcher, when the time has come
    CHILDREN  the end of the last of its children
    APPROVAL, BUDGET, OUTCOME  whoever brings it, by `store.waits.wake`
    """

    TIME = "time"
    CHILDREN = "children"
    APPROVAL = "approval"
    BUDGET = "budget"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class WaitFor:
    """The end of an attempt that cannot go on now. The attempt is given back, and its steps are kept."""

    type: WaitType
    delay_s: float = 0.0
    """Seconds from now, by Postgres' clock; for a wait for a time."""
    jobs: tuple[UUID, ...] | None = None
    """Of a wait for children: which; None for all that it has. One that has ended or does not exist is not waited for."""

    @classmethod
    def time(cls, delay_s: float) -> WaitFor:
        """Until so many seconds from now."""
        return cls(WaitType.TIME, delay_s=delay_s)

    @classmethod
    def children(cls, jobs: Sequence[UUID] | None = None) -> WaitFor:
        """Until these children have ended, however; None for all."""
        return cls(WaitType.CHILDREN, jobs=None if jobs is None else tuple(jobs))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait as it is stored, perhaps by a newer version."""

    type: str
    since: datetime | None
    jobs: Sequence[UUID] | None
