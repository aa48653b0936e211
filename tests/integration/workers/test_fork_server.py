"""A server that forks a process for each request, and what is left when one of the three dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.acceptance.stack import eventually
from tests.integration.isolation.test_processes import until_gone
from workers.fork_server import ForkServer

PROGRAM = "tests.integration.workers.forked_program"


@asynccontextmanager
async def server(idle_s: float = 60.0) -> AsyncIterator[ForkServer]:
    forks = ForkServer(PROGRAM, idle_s=idle_s)
    try:
        yield forks
    finally:
        await forks.close()


def pids(told: Path) -> list[int]:
    return [int(pid) for pid in told.read_text().split()]


async def pids_soon(told: Path) -> list[int]:
    await asyncio.to_thread(eventually, told.exists)
    return pids(told)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["exit", "0"], 0), (["exit", "3"], 3), (["die"], -signal.SIGKILL), (["break"], 1)],
)
def test_how_a_fork_ended_is_told(words: list[str], code: int) -> None:
    async def scenario() -> None:
        async with server() as forks:
            assert await forks.run(words) == code
            assert await forks.run(["exit", "0"]) == 0

    asyncio.run(scenario())


def test_each_request_has_a_process_of_its_own_and_all_have_one_server(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server() as forks:
            for name in ("first", "second"):
                assert await forks.run(["tell", str(tmp_path / name)]) == 0
        first, second = pids(tmp_path / "first"), pids(tmp_path / "second")
        assert first[0] != second[0]
        assert first[1] == second[1]
        await until_gone(first[1])

    asyncio.run(scenario())


def test_a_server_that_nobody_needs_ends_and_another_takes_its_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(idle_s=0.1) as forks:
            await forks.run(["tell", str(tmp_path / "first")])
            await until_gone(pids(tmp_path / "first")[1])
            assert await forks.run(["exit", "4"]) == 4

    asyncio.run(scenario())


def test_a_cancelled_caller_takes_server_and_fork_along(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server() as forks:
            running = asyncio.create_task(
                forks.run(["tell", str(tmp_path / "told"), str(tmp_path / "never")])
            )
            found = await pids_soon(tmp_path / "told")
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            for pid in found:
                await until_gone(pid)

    asyncio.run(scenario())


def test_a_server_that_dies_takes_its_fork_along_and_is_told_as_a_death(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server() as forks:
            running = asyncio.create_task(
                forks.run(["tell", str(tmp_path / "told"), str(tmp_path / "never")])
            )
            fork, its_server = await pids_soon(tmp_path / "told")
            os.kill(its_server, signal.SIGKILL)
            assert await running == -signal.SIGKILL
            await until_gone(fork)
            assert await forks.run(["exit", "0"]) == 0

    asyncio.run(scenario())


def test_a_fork_outlives_the_one_who_asked_and_then_the_server_ends(tmp_path: Path) -> None:
    told, go = tmp_path / "told", tmp_path / "go"
    server = subprocess.Popen([sys.executable, "-m", PROGRAM], stdin=subprocess.PIPE)
    assert server.stdin is not None
    server.stdin.write(f"tell {told} {go}\n".encode())
    server.stdin.flush()
    eventually(told.exists)
    server.stdin.close()
    assert psutil.pid_exists(pids(told)[0])
    go.touch()
    assert server.wait(timeout=60) == 0
