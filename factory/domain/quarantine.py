"""Quarantine: jobs whose workers died run apart from the others, in ever smaller groups.

Any job that a worker ran when it died may be to blame, and most are not: after the loss of a machine these are
thousands of jobs. A process for each would take hours. So jobs in quarantine share a process; if that dies too, its
jobs go on in smaller groups, and a job whose process dies with it alone is called poison.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

QUARANTINE_DEATHS = 2
"""A job whose workers died so often is in quarantine."""
GROUPS = (512, 64, 8, 1)
"""How many jobs share a process, by the deaths since they are in quarantine."""
ALONE_DEATHS = QUARANTINE_DEATHS + len(GROUPS) - 1
"""From so many deaths on a job has a process of its own."""


def group_size(deaths: int) -> int:
    """How many jobs with so many deaths may share a process."""
    return GROUPS[min(deaths - QUARANTINE_DEATHS, len(GROUPS) - 1)]


def groups(deaths_by_job: Mapping[UUID, int]) -> list[list[UUID]]:
    """The jobs as they may share processes; the largest groups first."""
    by_size: dict[int, list[UUID]] = {}
    for job_id, deaths in deaths_by_job.items():
        by_size.setdefault(group_size(deaths), []).append(job_id)
    return [
        members[at : at + size]
        for size, members in sorted(by_size.items(), reverse=True)
        for at in range(0, len(members), size)
    ]
