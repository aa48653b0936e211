"""Quarantined jobs share processes: the more deaths, the smaller the group."""

from __future__ import annotations

from factory.domain.job import new_id
from factory.domain.quarantine import GROUPS, QUARANTINE_DEATHS, group_size, groups


def test_a_group_is_smaller_after_each_death_until_a_job_is_alone() -> None:
    sizes = [group_size(QUARANTINE_DEATHS + rung) for rung in range(len(GROUPS) + 2)]
    assert sizes == [*GROUPS, 1, 1]
    assert sizes == sorted(sizes, reverse=True)


def test_jobs_of_different_deaths_do_not_share_a_process() -> None:
    first = {new_id(): QUARANTINE_DEATHS for _ in range(GROUPS[0] + 1)}
    last = {new_id(): QUARANTINE_DEATHS + len(GROUPS) for _ in range(2)}
    found = groups({**last, **first})
    assert [len(group) for group in found] == [GROUPS[0], 1, 1, 1]
    assert {job_id for group in found[:2] for job_id in group} == set(first)
    assert groups({}) == []
