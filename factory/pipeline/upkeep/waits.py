"""Queues jobs whose time has come, and parents whose wake-up was lost."""

from __future__ import annotations

import logging

from factory.domain.principal import PLATFORM
from factory.services import Services
from factory.store import waits

STRANDED_S = 10.0
"""Seconds between two pages of the search."""

log = logging.getLogger(__name__)


def wake_due(services: Services) -> int:
    """Queues jobs that waited for a time; gives how many. Raises Unavailable."""
    with services.database.autocommit(PLATFORM) as tx:
        return waits.wake_due(tx)


class StrandedParents:
    """Looks through all jobs that wait for children, a page at a time.

    A program of the release before ends a child without a look at its parent.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._last = waits.FIRST

    def tick(self) -> int:
        """Queues those of the next page that have no child left; gives how many. Raises Unavailable."""
        with self._services.database.transaction(PLATFORM) as tx:
            page = waits.parents(tx, self._last)
            alone = [one.id for one in page if one.is_alone]
            woken = waits.wake_parents(tx, alone) if alone else frozenset()
        self._last = page[-1] if len(page) == waits.PAGE else waits.FIRST
        if woken:
            log.warning("%d jobs waited for children that had ended", len(woken))
        return len(woken)
