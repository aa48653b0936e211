"""Retention of ended jobs: archived within hours, without content after weeks, deleted in the end.

Every dispatcher does this in small steps, each of which may be repeated or interrupted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from factory.domain.period import Period
from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import (
    archive,
    deliveries,
    idempotency,
    invitations,
    login_attempts,
    partitions,
    sessions,
)
from factory.store.database import Tx
from factory.store.partitions import CONTENTS, FAMILIES, MADE, Family, ahead

ROUND_S = 10.0
"""Pause between two rounds."""
WORK_S = REST_S = 0.1
"""Within a round, work and rest alternate, so that live jobs do not have to wait for Postgres."""
LARGEST_BATCH = 1000
"""Rows of a step. Jobs with much content go in smaller batches."""
QUICK_S, SLOW_S = 0.05, 0.1
"""After a batch that took less than the first, the next is larger; after more than the second, smaller."""
BATCHES = 100
"""Batches of jobs in a round, so that a backlog of them does not hold up the later steps."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows older than `kept` are deleted, content older than `content`."""

    now: datetime
    kept: datetime
    content: datetime

    def of(self, family: Family) -> datetime:
        """From when on the family's rows are kept."""
        return self.content if family is CONTENTS else self.kept


def limits(now: datetime, months: int, days: int) -> Limits:
    """Keeps `months` whole months beside the current one; content for `days`, and no longer than its job."""
    kept = Period.MONTH.shift(Period.MONTH.start(now), -months)
    return Limits(now, kept, max(kept, now - timedelta(days=days)))


class Retention:
    """In each round makes partitions, moves ended jobs, deletes leftovers and drops old partitions.

    Partitions are made before rows are moved into them. A partition that cannot be dropped now is left to the next round.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._round: Iterator[None] | None = None
        self._batch = LARGEST_BATCH // 10

    def tick(self) -> float:
        """Does some steps; gives how many seconds to wait before the next ones.

        Raises Unavailable; then the next round begins anew.
        """
        began = self._monotonic()
        steps, self._round = self._round or self._steps(), None
        for _ in steps:
            if self._monotonic() - began >= WORK_S:
                self._round = steps
                return REST_S
        return ROUND_S

    def _steps(self) -> Iterator[None]:
        settings = self._services.settings
        with self._step() as tx:
            now, oldest = partitions.database_now(tx), archive.oldest(tx)
        bounds = limits(now, settings.retention_months, settings.payload_ttl_days)
        yield from self._make(bounds, oldest or now)
        yield from self._move()
        yield from self._trim(bounds)
        yield from self._drop(bounds)

    @contextmanager
    def _step(self) -> Iterator[Tx]:
        with self._services.database.transaction(PLATFORM) as tx:
            archive.be_brief(tx)
            yield tx

    def _make(self, bounds: Limits, oldest: datetime) -> Iterator[None]:
        for family in FAMILIES:
            first, last = max(bounds.of(family), oldest), ahead(family, bounds.now, MADE)
            with self._step() as tx:
                missing = partitions.missing(tx, family, first, last)
            for span in missing:
                with self._step() as tx:
                    partitions.make(tx, family, span)
                yield

    def _move(self) -> Iterator[None]:
        for _ in range(BATCHES):
            limit = self._batch
            moved = self._move_batch(limit)
            yield
            if moved < limit:
                return

    def _move_batch(self, limit: int) -> int:
        began = self._monotonic()
        try:
            with self._step() as tx:
                moved = archive.move(tx, self._services.settings.archive_after_s, limit)
        except Unavailable:
            self._batch = max(1, limit // 2)
            raise
        took_s = self._monotonic() - began
        if took_s > SLOW_S:
            self._batch = max(1, limit // 2)
        elif took_s < QUICK_S:
            self._batch = min(LARGEST_BATCH, limit * 2)
        return moved

    def _trim(self, bounds: Limits) -> Iterator[None]:
        forgetting: list[Callable[..., int]] = [
            idempotency.forget_old,
            login_attempts.forget_old,
            sessions.forget_old,
            invitations.forget_old,
            partial(deliveries.forget_old, before=bounds.content),
        ]
        for family in FAMILIES:
            cutoff = bounds.of(family)
            forgetting.append(partial(partitions.trim_default, family=family, cutoff=cutoff))
        for forget in forgetting:
            while self._forget(forget) == LARGEST_BATCH:
                yield
            yield

    def _forget(self, forget: Callable[..., int]) -> int:
        with self._step() as tx:
            return forget(tx, limit=LARGEST_BATCH)

    def _drop(self, bounds: Limits) -> Iterator[None]:
        for family in FAMILIES:
            with self._step() as tx:
                over = partitions.over(tx, family, bounds.of(family))
            for name in over:
                with self._step() as tx:
                    partitions.drop(tx, name)
                log.info("partition %s is dropped: its time is over", name)
                yield
