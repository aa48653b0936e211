"""Lets Celery's synchronous tracer run coroutines: one greenlet per message, on the loop's thread.

The tracer expects a function that returns when the task is done. It runs here in a greenlet of its
own; whenever the task's coroutine waits for a future, the greenlet hands that future to the asyncio
task around it and is resumed when the future is done. The coroutine's own steps run *inside* the
greenlet, because Celery keys `self.request` by the current greenlet. SQLAlchemy's asyncio
extension bridges in the same direction (`sqlalchemy.util.concurrency`).
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from celery import Task
from greenlet import getcurrent, greenlet

from factory.errors import Misconfigured

Interruption = Callable[[BaseException], BaseException]
"""Gives the exception that the coroutine sees for one that arrives from the loop."""


class TracerGreenlet(greenlet):  # type: ignore[misc]
    """A greenlet whose code may wait for the loop that resumes it."""

    def __init__(self, function: Callable[[], Any], interruption: Interruption) -> None:
        super().__init__(function)
        self.interruption = interruption
        # A new greenlet starts without context variables; the coroutine needs those of its task.
        self.gr_context = getcurrent().gr_context


@types.coroutine
def run_in_greenlet(
    function: Callable[[], Any], interruption: Interruption
) -> Generator[Any, Any, Any]:
    """Runs `function`, in which `wait_for` may wait for coroutines; gives what it returns."""
    tracer = TracerGreenlet(function, interruption)
    awaited = tracer.switch()
    while not tracer.dead:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - raised again in the greenlet, as an await would
            awaited = tracer.throw(error)
        else:
            awaited = tracer.switch(value)
    return awaited


def wait_for(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run `coroutine` from synchronous code inside the pool; returns its result or raises its error.

    Raises Misconfigured where no loop stands behind the caller: another pool, or a direct call.
    """
    tracer = getcurrent()
    if not isinstance(tracer, TracerGreenlet):
        coroutine.close()
        raise Misconfigured(
            "a coroutine task runs only under workers.pool:AsyncioPool; outside a worker, await its "
            "run() instead",
            param="worker_pool",
        )
    resume, value = coroutine.send, None
    while True:
        try:
            awaited = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            value = tracer.parent.switch(awaited)
            resume = coroutine.send
        except BaseException as error:  # noqa: BLE001 - raised again in the coroutine, as an await would
            value = tracer.interruption(error)
            resume = coroutine.throw


class CoroutineTask(Task):  # type: ignore[misc]
    """Base of every task of the app: `@app.task async def run_jobs(...)` just works."""

    abstract = True
    Request = "workers.request:HintRequest"

    @staticmethod
    def weigh(*_args: Any, **_kwargs: Any) -> int:
        """How many slots a message takes, from the task's arguments; see `pool.release_slot`."""
        return 1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Called by the tracer. Celery's own built-in tasks are plain functions."""
        result = self.run(*args, **kwargs)
        return wait_for(result) if inspect.iscoroutine(result) else result
