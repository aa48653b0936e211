"""Quarantine: jobs whose workers died run apart from the others, in ever smaller groups.

All that a worker had in flight when it died is suspect, and most of it is innocent: after a machine's
end that is thousands of jobs. One process for each would take hours. So suspects share a process; when
that dies too, its jobs go on in a smaller group, and a job that dies alone is the killer.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

QUARANTINE_DEATHS = 2
"""A job whose workers died so often is a suspect."""
GROUPS = (512, 64, 8, 1)
"""How many suspects share a process, by the deaths since they became that."""
ALONE_DEATHS = QUARANTINE_DEATHS + len(GROUPS) - 1
"""From so many deaths on a suspect has a process of its own."""


def group_size(deaths: int) -> int:
    """How many suspects of so many deaths may share a process."""
    return GROUPS[min(deaths - QUARANTINE_DEATHS, len(GROUPS) - 1)]


def groups(suspects: Mapping[UUID, int]) -> list[list[UUID]]:
    """The suspects, given with their deaths, as they may share processes; the largest groups first."""
    by_size: dict[int, list[UUID]] = {}
    for job_id, deaths in suspects.items():
        by_size.setdefault(group_size(deaths), []).append(job_id)
    return [
        members[at : at + size]
        for size, members in sorted(by_size.items(), reverse=True)
        for at in range(0, len(members), size)
    ]
