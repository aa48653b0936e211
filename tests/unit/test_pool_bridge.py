"""The bridge between a synchronous tracer and a coroutine."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from greenlet import getcurrent

from factory.errors import Misconfigured
from workers.bridge import TracerGreenlet, run_in_greenlet, wait_for

label: ContextVar[str] = ContextVar("label")


def same(error: BaseException) -> BaseException:
    return error


def test_synchronous_code_gets_the_result_of_a_coroutine() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def main() -> Any:
        return await run_in_greenlet(lambda: wait_for(answer()) + 1, same)

    assert asyncio.run(main()) == 43


def test_an_error_of_the_coroutine_reaches_the_synchronous_code() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("inside")

    def trace() -> str:
        with pytest.raises(ValueError, match="inside"):
            wait_for(fail())
        return "caught"

    async def main() -> Any:
        return await run_in_greenlet(trace, same)

    assert asyncio.run(main()) == "caught"


def test_every_step_runs_in_the_greenlet_of_its_own_message() -> None:
    async def steps() -> tuple[Any, Any]:
        before = getcurrent()
        await asyncio.sleep(0)
        return before, getcurrent()

    async def main() -> list[Any]:
        calls = (run_in_greenlet(lambda: wait_for(steps()), same) for _ in range(2))
        return await asyncio.gather(*(wrap(call) for call in calls))

    async def wrap(call: Any) -> Any:
        return await call

    (first, first_later), (second, second_later) = asyncio.run(main())
    assert first is first_later is not second
    assert second is second_later
    assert isinstance(first, TracerGreenlet)


def test_the_coroutine_sees_the_context_variables_of_its_task() -> None:
    async def read() -> str:
        await asyncio.sleep(0)
        return label.get()

    async def main() -> Any:
        label.set("mine")
        return await run_in_greenlet(lambda: wait_for(read()), same)

    assert asyncio.run(main()) == "mine"


def test_a_cancellation_can_look_like_another_error_inside() -> None:
    async def wait() -> str:
        try:
            await asyncio.sleep(60)
        except TimeoutError:
            return "tidied up"
        return "never"

    async def run() -> Any:
        return await run_in_greenlet(lambda: wait_for(wait()), lambda _: TimeoutError())

    async def main() -> Any:
        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "tidied up"


def test_a_task_outside_the_pool_says_which_pool_it_needs() -> None:
    async def never() -> None: ...

    with pytest.raises(Misconfigured, match=r"workers\.pool:AsyncioPool"):
        wait_for(never())
