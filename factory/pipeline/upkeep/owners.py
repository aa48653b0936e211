"""Fills in whose each row is, where programs of before wrote it and did not say.

Every dispatcher reads through the tables once, in small steps with pauses. From then on it looks at what may still
change: rows of live jobs, and the newest content.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import archive, owners, partitions
from factory.store.database import Tx
from factory.store.owners import Piece
from factory.store.partitions import CONTENTS

WORK_S = REST_S = 0.1
"""Work and rest alternate, so that live jobs do not have to wait for Postgres."""
SOON_S, LATER_S = 60.0, 600.0
"""Until the next round: after one that found rows, and after one that found none."""
FIRST_PAGES, MOST_PAGES = 16, 1024
QUICK_S, SLOW_S = 0.05, 0.1
"""After a step that took less than the first, the next is larger; after more than the second, smaller."""

log = logging.getLogger(__name__)


class Owners:
    """In each round goes through all pieces that may hold rows without an owner."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._round: Iterator[None] | None = None
        self._pages = FIRST_PAGES
        self._filled = 0
        self._whole: set[str] = set()
        """Pieces that lack nothing, and to which nothing is added any more."""

    def tick(self) -> float:
        """Does some steps; gives how many seconds to wait before the next ones.

        Raises Unavailable; then the round begins anew, and finds what is left.
        """
        began = self._monotonic()
        steps, self._round = self._round or self._steps(), None
        for _ in steps:
            if self._monotonic() - began >= WORK_S:
                self._round = steps
                return REST_S
        return SOON_S if self._filled else LATER_S

    def _steps(self) -> Iterator[None]:
        self._filled = 0
        with self._step() as tx:
            over = set(partitions.over(tx, CONTENTS, partitions.database_now(tx)))
            pieces = owners.pieces(tx)
        for piece in pieces:
            if piece.name in self._whole:
                continue
            before = self._filled
            yield from self._fill(piece)
            if self._filled > before:
                log.info("%s: %d rows name their project", piece.name, self._filled - before)
            elif piece.name in over:
                self._whole.add(piece.name)

    @contextmanager
    def _step(self) -> Iterator[Tx]:
        with self._services.database.transaction(PLATFORM) as tx:
            archive.be_brief(tx)
            yield tx

    def _fill(self, piece: Piece) -> Iterator[None]:
        first = 0
        while first < piece.pages:
            pages = self._pages
            self._filled += self._fill_pages(piece, first, pages)
            first += pages
            yield

    def _fill_pages(self, piece: Piece, first: int, pages: int) -> int:
        began = self._monotonic()
        try:
            with self._step() as tx:
                filled = owners.fill(tx, piece, first, pages)
        except Unavailable:
            self._pages = max(1, pages // 2)
            raise
        took_s = self._monotonic() - began
        if took_s > SLOW_S:
            self._pages = max(1, pages // 2)
        elif took_s < QUICK_S:
            self._pages = min(MOST_PAGES, pages * 2)
        return filled
