"""Backpressure: no more jobs are accepted than workers can be expected to run in time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from factory.domain.principal import PLATFORM
from factory.errors import TooManyQueued, Unavailable
from factory.services import Services
from factory.store import backlog
from factory.store.backlog import Depth

FRESH_S = 1.0
LONGEST_RETRY_AFTER_S = 60


@dataclass(slots=True)
class _Reading:
    depth: Depth
    read_at: float
    since: int = 0
    """A measured depth, and the jobs that this process has admitted since."""


class Backpressure:
    """Admits jobs while their project and all projects together stay under the settings' limits.

    Reads the measured depth at most once a second a project and adds what this process has admitted since. So a limit
    may be exceeded by what all gateways accept in a few seconds. That is good enough: the limit guards against a
    runaway caller and is not a quota.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._readings: dict[UUID, _Reading] = {}

    def admit(self, project_id: UUID, jobs: int) -> None:
        """Raises TooManyQueued for the project's limit, Unavailable for that of all. Both say when to try again."""
        reading = self._reading(project_id)
        settings = self._services.settings
        project = reading.depth.project + reading.since + jobs
        everything = reading.depth.all + reading.since + jobs
        if project > settings.max_queued_per_project:
            raise TooManyQueued(
                f"the project has {reading.depth.project} jobs queued, "
                f"its limit is {settings.max_queued_per_project}",
                retry_after_s=_wait_s(reading.depth, project - settings.max_queued_per_project),
            )
        if everything > settings.max_queued:
            raise Unavailable(
                f"{reading.depth.all} jobs are queued, no more are accepted for now",
                retry_after_s=_wait_s(reading.depth, everything - settings.max_queued),
            )
        with self._lock:
            reading.since += jobs

    def _reading(self, project_id: UUID) -> _Reading:
        now = self._monotonic()
        found = self._readings.get(project_id)
        if found and now - found.read_at < FRESH_S:
            return found
        with self._services.database.autocommit(PLATFORM) as tx:
            reading = _Reading(backlog.depth(tx, project_id), now)
        with self._lock:
            self._readings[project_id] = reading
        return reading


def _wait_s(depth: Depth, excess: int) -> int:
    """How long the workers need for the excess at their latest pace; 60 s at most."""
    if depth.drained_per_s <= 0:
        return LONGEST_RETRY_AFTER_S
    return max(1, min(LONGEST_RETRY_AFTER_S, math.ceil(excess / depth.drained_per_s)))
