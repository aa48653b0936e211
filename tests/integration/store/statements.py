"""Batch statements for tests of group commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from factory.domain.job import new_id
from factory.services import Services
from factory.store.database import Tx, as_json, rows, run
from factory.store.group_commit import GroupCommitter

INSERT = """
INSERT INTO counters (metric, labels, amount)
SELECT metric, labels, 1
  FROM jsonb_to_recordset(CAST(%(items)s AS jsonb)) AS g(metric text, labels jsonb)
"""


def count(tx: Tx, items: list[str]) -> Sequence[int]:
    """Writes a row an item; gives its transaction."""
    run(tx, INSERT, {"items": as_json([{"metric": item, "labels": {}} for item in items])})
    [row] = rows(tx, "SELECT pg_current_xact_id()::text::bigint AS xid")
    return [row.xid] * len(items)


def insert_key(tx: Tx, keys: list[str]) -> Sequence[str]:
    """May be run again, as every batch statement must be."""
    for key in keys:
        statement = (
            "INSERT INTO projects (id, name) VALUES (%(id)s, %(name)s) ON CONFLICT DO NOTHING"
        )
        run(tx, statement, {"id": str(new_id()), "name": key})
    return keys


def miscount(_tx: Tx, _items: list[str]) -> Sequence[int]:
    return []


class Held:
    """A batch statement whose transaction goes on until it is released."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, _tx: Tx, items: list[str]) -> Sequence[bool]:
        self.begun.set()
        return [self.released.wait(30) for _ in items]


def with_committer(
    services: Services, work: Callable[[GroupCommitter], Awaitable[Any]], threads: int = 2
) -> Any:
    """What `work` gives, with a committer on a loop of its own."""

    async def run_it() -> Any:
        committer = GroupCommitter(services.database, asyncio.get_running_loop(), threads)
        try:
            return await work(committer)
        finally:
            await asyncio.to_thread(committer.stop)

    with asyncio.Runner() as runner:
        return runner.run(asyncio.wait_for(run_it(), 120))
