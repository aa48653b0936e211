"""The result of a write outlives whoever waited for it first."""

from __future__ import annotations

import asyncio

import pytest

from factory.services import Services
from factory.store.group_commit import GroupCommitter
from tests.integration.store.samples import ask
from tests.integration.store.statements import count, with_committer


def test_whoever_is_cancelled_may_ask_for_the_result_again(services: Services) -> None:
    async def work(committer: GroupCommitter) -> tuple[int, int]:
        write = committer.offer(count, "claimed")
        task = asyncio.ensure_future(write.result())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await write.result(), await write.result()

    first, second = with_committer(services, work)
    assert first == second
    assert [row.metric for row in ask(services, "SELECT metric FROM counters")] == ["claimed"]
