"""Whose texts are worked on next: projects take turns, urgent ones more often, and a query goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from factory.domain.lanes import Priority

WEIGHTS = {Priority.HIGH: 8, Priority.NORMAL: 4, Priority.LOW: 2, Priority.BULK: 1}
"""How much work a project gets at each priority, where another project at `bulk` gets 1."""
QUERIES_IN_A_ROW = 8
"""After so many queries comes one piece of other work, if there is any: searches alone must not stop all embedding."""
IDLE_PROJECTS = 1000
"""The most projects without work that are remembered; beyond that, those that are not ahead of others are forgotten."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose work it is. `is_query`: somebody waits for the answer to a search."""

    project_id: UUID
    priority: Priority
    is_query: bool = False


@dataclass(eq=False, slots=True)
class Work(Generic[Item]):
    """The items of one job, of which `done` have been handed out. `sizes` say how much each is."""

    owner: Owner
    items: Sequence[Item]
    sizes: Sequence[int]
    done: int = 0

    @property
    def rank(self) -> tuple[bool, int]:
        """The most urgent first."""
        return not self.owner.is_query, -WEIGHTS[self.owner.priority]


@dataclass(slots=True)
class _Project(Generic[Item]):
    taken: float
    """How much work a project has had, divided by its weight. The project with the least is next."""
    waiting: list[Work[Item]] = field(default_factory=list)


class Schedule(Generic[Item]):
    """Hands out work in pieces of at most `most_items` and, if it is more than one item, `most_size`.

    Stride scheduling (Waldspurger and Weihl, 1995) between projects. Within one, what is most urgent goes first, and
    jobs that are as urgent take turns.
    """

    def __init__(self, most_items: int, most_size: int) -> None:
        self._most_items = most_items
        self._most_size = most_size
        self._projects: dict[UUID, _Project[Item]] = {}
        self._now = 0.0
        self._queries: deque[bool] = deque(maxlen=QUERIES_IN_A_ROW)

    def add(self, work: Work[Item]) -> None:
        """Adds work that has items. A project that had no work gets no credit for that time."""
        self._forget_idle()
        project = self._projects.setdefault(work.owner.project_id, _Project(self._now))
        if not project.waiting:
            project.taken = max(project.taken, self._now)
        project.waiting.append(work)

    def discard(self, work: Work[Item]) -> None:
        """Hands out no more of it."""
        project = self._projects.get(work.owner.project_id)
        if project and work in project.waiting:
            project.waiting.remove(work)

    def next(self) -> tuple[Work[Item], Sequence[Item]] | None:
        """A piece of somebody's work; None if there is none."""
        busy = [project for project in self._projects.values() if project.waiting]
        if not busy:
            self._projects.clear()
            return None
        busy = self._of_one_sort(busy)
        project = min(busy, key=lambda one: one.taken)
        work = self._most_urgent(project)
        start = work.done
        work.done = self._end_of_piece(work)
        self._now = max(self._now, project.taken)
        project.taken += sum(work.sizes[start : work.done]) / WEIGHTS[work.owner.priority]
        project.waiting.remove(work)
        if work.done < len(work.items):
            project.waiting.append(work)
        self._queries.append(work.owner.is_query)
        return work, work.items[start : work.done]

    def _of_one_sort(self, busy: list[_Project[Item]]) -> list[_Project[Item]]:
        """Those with a query, or those with other work where that is due."""
        queries = [one for one in busy if any(work.owner.is_query for work in one.waiting)]
        others = [one for one in busy if any(not work.owner.is_query for work in one.waiting)]
        return others if self._others_are_due() and others else queries or others

    def _others_are_due(self) -> bool:
        return len(self._queries) == QUERIES_IN_A_ROW and all(self._queries)

    def _most_urgent(self, project: _Project[Item]) -> Work[Item]:
        waiting = project.waiting
        if self._others_are_due():
            waiting = [work for work in waiting if not work.owner.is_query] or waiting
        return min(waiting, key=lambda work: work.rank)

    def _end_of_piece(self, work: Work[Item]) -> int:
        end, size = work.done, 0
        while end < len(work.items) and end - work.done < self._most_items:
            size += work.sizes[end]
            if size > self._most_size and end > work.done:
                break
            end += 1
        return end

    def _forget_idle(self) -> None:
        if len(self._projects) > IDLE_PROJECTS:
            self._projects = {
                key: one
                for key, one in self._projects.items()
                if one.waiting or one.taken > self._now
            }
