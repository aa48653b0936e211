"""Child processes that work for a loop: they end when they are late, not wanted, or without a parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from factory.domain.lanes import parse_lanes
from factory.errors import FactoryError, ProviderRefused, WorkLost, WorkTooLong
from factory.isolation import processes as processes_module
from factory.isolation.processes import Processes
from factory.isolation.turns import Turns
from tests.acceptance.stack import eventually

LONG_S = 60.0


@asynccontextmanager
async def processes(most: int = 1, idle_s: float = LONG_S) -> AsyncIterator[Processes]:
    room = Processes("test", most=most, idle_s=idle_s)
    try:
        yield room
    finally:
        await room.close()


async def until_gone(pid: int) -> None:
    """A zombie that asyncio has not reaped yet is gone too."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for _ in range(600):
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{pid} lives")


def test_a_child_is_started_by_the_first_call_and_used_again() -> None:
    async def scenario() -> None:
        async with processes(most=2) as room:
            assert room.pids == []
            first = await room.run(os.getpid, (), timeout_s=LONG_S)
            assert room.pids == [first] != [os.getpid()]
            assert await room.run(divmod, (17, 5), timeout_s=LONG_S) == (3, 2)
            assert await room.run(os.getpid, (), timeout_s=LONG_S) == first

    asyncio.run(scenario())


def test_work_that_is_late_has_its_child_killed_and_the_next_works() -> None:
    async def scenario() -> None:
        async with processes() as room:
            late = await room.run(os.getpid, (), timeout_s=LONG_S)
            with pytest.raises(WorkTooLong, match=r"the test took more than 0.2 s"):
                await room.run(time.sleep, (LONG_S,), timeout_s=0.2)
            assert await room.run(os.getpid, (), timeout_s=LONG_S) != late
            await until_gone(late)

    asyncio.run(scenario())


def test_work_that_is_cancelled_has_its_child_killed() -> None:
    async def scenario() -> None:
        async with processes() as room:
            pid = await room.run(os.getpid, (), timeout_s=LONG_S)
            sleeping = asyncio.create_task(room.run(time.sleep, (LONG_S,), timeout_s=LONG_S))
            await asyncio.sleep(0.1)
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            await until_gone(pid)
            assert await room.run(abs, (-1,), timeout_s=LONG_S) == 1

    asyncio.run(scenario())


def test_a_start_survives_the_caller_that_wanted_it() -> None:
    async def scenario() -> None:
        async with processes() as room:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await room.run(os.getpid, (), timeout_s=LONG_S)
            assert [await room.run(os.getpid, (), timeout_s=LONG_S)] == room.pids

    asyncio.run(scenario())


def test_errors_of_ours_cross_whole_and_others_are_lost_work() -> None:
    async def scenario() -> None:
        async with processes() as room:
            with pytest.raises(WorkLost, match=r"broke: ZeroDivisionError$"):
                await room.run(divmod, (1, 0), timeout_s=LONG_S)
            with pytest.raises(FactoryError, match="no lane"):
                await room.run(parse_lanes, ("nonsense",), timeout_s=LONG_S)
            with pytest.raises(WorkLost, match="died"):
                await room.run(os._exit, (1,), timeout_s=LONG_S)
            assert await room.run(abs, (-1,), timeout_s=LONG_S) == 1

    asyncio.run(scenario())


def test_an_error_with_fields_is_pickled_with_them() -> None:
    import pickle

    error = ProviderRefused("no", provider="openai", http_status=400, code="x")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.message) == (ProviderRefused, "no", "no")
    assert (again.provider, again.http_status, again.code) == ("openai", 400, "x")


def test_what_a_library_prints_does_not_come_between() -> None:
    async def scenario() -> None:
        async with processes() as room:
            await room.run(print, ("noise",), timeout_s=LONG_S)
            await room.run(os.system, ("echo more noise",), timeout_s=LONG_S)
            assert await room.run(len, (b"x" * 3_000_000,), timeout_s=LONG_S) == 3_000_000
            assert await room.run(bytes, (3_000_000,), timeout_s=LONG_S) == bytes(3_000_000)

    asyncio.run(scenario())


def test_a_child_that_eats_all_memory_dies_alone(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        room = Processes("test", most=1, memory_bytes=200 << 20)
        try:
            with pytest.raises(WorkLost, match="died"):
                await room.run(bytes, (400 << 20,), timeout_s=LONG_S)
            assert await room.run(abs, (-1,), timeout_s=LONG_S) == 1
        finally:
            await room.close()

    asyncio.run(scenario())
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("failures", "starts"), [(2, True), (9, False)])
def test_a_start_that_fails_is_tried_again_but_not_for_ever(
    failures: int, starts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_module, "START_PAUSES_S", (0.01, 0.01))
    (tmp_path / "late_module.py").write_text(
        "import os, pathlib\n"
        f"tries = pathlib.Path({str(tmp_path / 'tries')!r})\n"
        "with tries.open('a') as log: log.write('.')\n"
        f"if tries.stat().st_size <= {failures}: os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    async def scenario() -> None:
        late = Processes("test", most=1, modules=["late_module"])
        try:
            if starts:
                assert await late.run(abs, (-1,), timeout_s=LONG_S) == 1
            else:
                with pytest.raises(WorkLost, match="could be started"):
                    await late.run(abs, (-1,), timeout_s=LONG_S)
        finally:
            await late.close()

    asyncio.run(scenario())


def test_a_child_that_nobody_needs_ends() -> None:
    async def scenario() -> None:
        async with processes(idle_s=0.1) as room:
            pid = await room.run(os.getpid, (), timeout_s=LONG_S)
            await until_gone(pid)
            assert room.pids == []

    asyncio.run(scenario())


def test_a_child_ignores_the_signals_that_are_for_its_parent() -> None:
    async def scenario() -> None:
        async with processes() as room:
            pid = await room.run(os.getpid, (), timeout_s=LONG_S)
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
            assert await room.run(os.getpid, (), timeout_s=LONG_S) == pid

    asyncio.run(scenario())


PARENT = """
import asyncio, os, time
from factory.isolation import processes as processes_module
from factory.isolation.processes import Processes

async def main():
    room = Processes("test", most=2)
    await asyncio.gather(*(room.run(time.sleep, (0.5,), timeout_s=60, owner=o) for o in "ab"))
    print(*room.pids, flush=True)
    await room.run(time.sleep, (600,), timeout_s=600)

asyncio.run(main())
"""


def test_children_die_with_their_parent_while_they_work() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), LONG_S)


def test_a_slow_owner_leaves_a_child_to_the_others() -> None:
    async def scenario() -> None:
        async with processes(most=2) as room:
            slow = [
                asyncio.create_task(
                    room.run(time.sleep, (LONG_S,), timeout_s=2 * LONG_S, owner="slow")
                )
                for _ in range(20)
            ]
            await asyncio.sleep(0)
            assert await room.run(abs, (-1,), timeout_s=LONG_S, owner="other") == 1
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            assert await room.run(abs, (-1,), timeout_s=LONG_S, owner="slow") == 1

    asyncio.run(scenario())


def test_owners_take_turns_and_a_caller_that_went_holds_none() -> None:
    async def scenario() -> None:
        turns, served = Turns(1), []

        async def work(owner: str) -> None:
            await turns.take(owner)
            served.append(owner)
            await asyncio.sleep(0)
            turns.give_back(owner)

        await turns.take("first")
        waiting = [asyncio.create_task(work(owner)) for owner in ("a", "a", "a", "b", "c", "b")]
        await asyncio.sleep(0)
        waiting[3].cancel()
        await asyncio.sleep(0)
        turns.give_back("first")
        await asyncio.gather(*waiting, return_exceptions=True)
        assert served == ["a", "b", "c", "a", "a"]

    asyncio.run(scenario())
