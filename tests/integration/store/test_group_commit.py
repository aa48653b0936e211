"""Group commit: many share one transaction, one bad item fails alone, nothing handed over is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg2
import pytest

from factory.services import Services
from factory.store import group_commit
from factory.store.database import Tx, run
from factory.store.group_commit import GroupCommitter
from tests.integration.pipeline.bench import until
from tests.integration.store.samples import ask, tell
from tests.integration.store.statements import Held, count, insert_key, miscount, with_committer


def _metrics(services: Services) -> list[str]:
    return [row.metric for row in ask(services, "SELECT metric FROM counters ORDER BY metric")]


def test_many_coroutines_share_few_transactions(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "PATIENCE_S", 60.0)  # however long a busy machine takes
    names = [f"{n:04}" for n in range(1000)]

    async def work(committer: GroupCommitter) -> list[int]:
        committer.write(sleep, 0.5)
        return await asyncio.gather(*(committer.write(count, name) for name in names))

    transactions = with_committer(services, work)
    assert _metrics(services) == names
    assert len(set(transactions)) <= 20


PACE_S = 0.2


@pytest.mark.parametrize("paced", [True, False])
def test_what_comes_soon_after_a_commit_shares_the_next_one(
    services: Services, monkeypatch: pytest.MonkeyPatch, paced: bool
) -> None:
    """Without the pause, the control, each write that comes by itself has a transaction of its own."""
    monkeypatch.setattr(group_commit, "PACE_S", PACE_S if paced else 0.0)
    monkeypatch.setattr(group_commit, "PATIENCE_S", 60.0)

    async def work(committer: GroupCommitter) -> tuple[int, float]:
        began = time.monotonic()
        writes = []
        for n in range(40):
            writes.append(committer.write(count, f"{n:02}"))
            await asyncio.sleep(PACE_S / 40)
        transactions = len(set(await asyncio.gather(*writes)))
        return transactions, time.monotonic() - began

    transactions, took_s = with_committer(services, work)
    assert (transactions <= took_s / PACE_S + 1) == paced


def test_a_result_comes_only_after_its_commit(services: Services) -> None:
    async def work(committer: GroupCommitter) -> list[list[str]]:
        seen = []
        for name in ("a", "b", "c"):
            await committer.write(count, name)
            seen.append(_metrics(services))
        return seen

    assert with_committer(services, work) == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_kinds_of_statements_share_a_transaction_and_each_gets_its_own_answers(
    services: Services,
) -> None:
    async def work(committer: GroupCommitter) -> list[Any]:
        writes = [committer.write(insert_key if n % 2 else count, f"{n:03}") for n in range(100)]
        return await asyncio.gather(*writes)

    answers = with_committer(services, work)
    assert answers[1::2] == [f"{n:03}" for n in range(1, 100, 2)]
    assert all(isinstance(answer, int) for answer in answers[0::2])


@pytest.mark.parametrize("bad", ["nul\x00", "lone \ud800 surrogate"])
def test_a_bad_item_fails_alone(services: Services, bad: str) -> None:
    async def work(committer: GroupCommitter) -> list[Any]:
        names = [*(f"{n:02}" for n in range(20)), bad, *(f"{n:02}" for n in range(20, 40))]
        writes = [committer.write(count, name) for name in names]
        return await asyncio.gather(*writes, return_exceptions=True)

    answers = with_committer(services, work)
    failed = [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert failed == [20]
    assert _metrics(services) == [f"{n:02}" for n in range(40)]


def test_a_statement_that_answers_too_few_fails_and_writes_nothing(services: Services) -> None:
    async def work(committer: GroupCommitter) -> list[Any]:
        writes = [committer.write(miscount, "x"), committer.write(count, "y")]
        return await asyncio.gather(*writes, return_exceptions=True)

    broken, fine = with_committer(services, work)
    assert isinstance(broken, ValueError)
    assert isinstance(fine, int)


def test_a_waiter_that_is_cancelled_breaks_no_other_and_is_written_all_the_same(
    services: Services,
) -> None:
    async def work(committer: GroupCommitter) -> None:
        tasks = [asyncio.ensure_future(_wait(committer, f"{n:02}")) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 10

    with_committer(services, work)
    assert _metrics(services) == [f"{n:02}" for n in range(20)]


async def _wait(committer: GroupCommitter, name: str) -> None:
    await committer.write(count, name)


def test_a_commit_outlives_its_cancellation_and_then_tells(services: Services) -> None:
    async def work(committer: GroupCommitter) -> list[str]:
        task = asyncio.ensure_future(committer.commit(count, "paid"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return _metrics(services)

    assert with_committer(services, work) == ["paid"]


def test_a_transaction_that_takes_long_holds_up_no_other(services: Services) -> None:
    held = Held()

    async def work(committer: GroupCommitter) -> list[bool]:
        slow = committer.write(held, "slow")
        await until(held.begun.is_set)
        await asyncio.wait_for(committer.write(count, "quick"), 25)
        answers = [slow.done()]
        held.released.set()
        return [*answers, await slow]

    assert with_committer(services, work) == [False, True]


def sleep(tx: Tx, seconds: list[float]) -> Sequence[float]:
    """Takes as long as all of its items together."""
    run(tx, "SELECT pg_sleep(%(s)s)", {"s": sum(seconds)})
    return seconds


def test_a_batch_that_is_too_slow_is_made_in_parts(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUICK_S", 1.0)

    async def work(committer: GroupCommitter) -> list[float]:
        first = committer.write(sleep, 0.01)  # the others wait for it, and become one batch
        writes = [committer.write(sleep, 0.4) for _ in range(8)]
        return await asyncio.gather(first, *writes)

    assert with_committer(services, work) == [0.01, *[0.4] * 8]


def test_a_write_whose_row_is_locked_costs_the_others_one_pause(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUICK_S", 1.0)
    tell(services, "INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'locked')")
    holder = psycopg2.connect(services.settings.libpq_url)
    holder.cursor().execute("SELECT FROM projects WHERE name = 'locked' FOR UPDATE")

    def touch(tx: Tx, names: list[str]) -> Sequence[str]:
        run(tx, "UPDATE projects SET name = name WHERE name = ANY(%(names)s)", {"names": names})
        return names

    async def work(committer: GroupCommitter) -> str:
        names = [f"{n:02}" for n in range(20)]
        writes = [committer.write(touch, name) for name in [*names, "locked", *names]]
        others = [write for place, write in enumerate(writes) if place != 20]
        assert await asyncio.gather(*others) == names * 2
        for name in names:  # each would wait again if the locked one were made with it
            await asyncio.wait_for(committer.write(touch, name), 30)
        assert not writes[20].done()
        holder.close()
        return await writes[20]

    assert with_committer(services, work) == "locked"


def test_a_single_write_that_takes_long_gets_the_time_and_is_not_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUICK_S", 0.5)
    monkeypatch.setattr(group_commit, "ANSWER_S", 0.5)

    async def work(committer: GroupCommitter) -> float:
        return await committer.write(sleep, 2.5)

    assert with_committer(services, work) == 2.5


def test_a_batch_is_weighed_and_not_only_counted(services: Services) -> None:
    """One thread: two would share what is handed over while they take turns."""

    async def work(committer: GroupCommitter, size: int) -> list[int]:
        held = Held()
        committer.write(held, "x")
        await until(held.begun.is_set)
        writes = [committer.write(count_together, "x", size) for _ in range(40)]
        held.released.set()
        return await asyncio.gather(*writes)

    def count_together(_tx: Tx, items: list[str]) -> Sequence[int]:
        return [len(items)] * len(items)

    small = with_committer(services, lambda committer: work(committer, 200), threads=1)
    large = with_committer(services, lambda committer: work(committer, 1_000_000), threads=1)
    assert (set(small), max(large) <= 5) == ({40}, True)


def test_what_is_withdrawn_before_its_turn_is_not_written(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "PATIENCE_S", 60.0)  # the other thread waits for its turn
    held = Held()

    async def work(committer: GroupCommitter) -> None:
        running = [committer.offer(held, name) for name in ("a", "b")]
        await until(held.begun.is_set)
        offers = [committer.offer(count, f"{n:02}") for n in range(20)]
        assert not running[0].withdraw()
        assert all(offer.withdraw() for offer in offers[::2])
        held.released.set()
        await asyncio.gather(*(offer.answer for offer in offers[1::2]))
        assert [await offer.answer for offer in offers[::2]] == [None] * 10

    with_committer(services, work)
    assert _metrics(services) == [f"{n:02}" for n in range(1, 20, 2)]


def test_one_bad_item_of_many_costs_few_transactions(services: Services) -> None:
    tries: list[int] = []

    def refuse(tx: Tx, items: list[str]) -> Sequence[int]:
        tries.append(len(items))
        return count(tx, items)

    async def work(committer: GroupCommitter) -> list[Any]:
        names = [*(f"{n:04}" for n in range(300)), "nul\x00", *(f"{n:04}" for n in range(300))]
        writes = [committer.write(refuse, name) for name in names]
        return await asyncio.gather(*writes, return_exceptions=True)

    answers = with_committer(services, work)
    assert [type(one) is int for one in answers].count(False) == 1
    assert len(tries) < 60


def test_stop_writes_what_is_left(services: Services) -> None:
    async def work(committer: GroupCommitter) -> None:
        for n in range(50):
            committer.write(count, f"{n:02}")

    with_committer(services, work)
    assert len(_metrics(services)) == 50


def test_a_thread_that_breaks_ends_the_process(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here there is no room for another one, which would make what takes too long."""
    monkeypatch.setattr(group_commit, "QUICK_S", 0.2)
    gave_up = threading.Event()

    def no_room(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def work() -> None:
        loop = asyncio.get_running_loop()
        committer = GroupCommitter(services.database, loop, give_up=gave_up.set)
        await committer.write(count, "00")
        monkeypatch.setattr(threading.Thread, "start", no_room)
        committer.write(sleep, 5.0)
        await until(gave_up.is_set)
        committer.stop()

    asyncio.run(work())
