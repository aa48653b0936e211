"""One message on the loop: its coroutine, its time limits, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import SoftTimeLimitExceeded

from workers.bridge import run_in_greenlet

current_execution: ContextVar[Execution] = ContextVar("current_execution")
"""The message to which the running coroutine, or any task that it started, belongs."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Celery's callbacks for a message. All are called on the consumer's thread."""

    on_success: Callable[[Any], None]
    """Takes the tracer's `(failed, value, runtime_s)`, also of a task that raised."""
    on_failure: Callable[[ExceptionInfo], None]
    """The tracer itself did not return."""
    on_timeout: Callable[[bool, float], None]
    """`(is_soft, limit_s)`; after a hard one the request counts as failed."""


@dataclass(frozen=True, slots=True)
class PoolSide:
    """What an execution asks of its pool. `post` is called on the loop's thread, the others on the consumer's."""

    post: Callable[..., None]
    """`post(call, *args)` runs `call(*args)` on the consumer's thread."""
    release: Callable[[Execution], None]
    """Frees the slot of one of the message's jobs."""
    finish: Callable[[Execution], None]
    """Forgets the message: its coroutine has ended."""
    announce_hard_limit: Callable[[Execution], None]
    terminate: Callable[[int, object], None]
    """Cancels the message with this id."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Execution:
    """A message that is being run. Celery's request keeps a weak reference to it."""

    # Set before the loop sees it, then only read.
    pool: PoolSide = field(repr=False)
    id: int
    trace: Callable[[], Any] = field(repr=False)
    """Celery's tracer with its arguments."""
    callbacks: Callbacks = field(repr=False)
    soft_limit_s: float | None
    hard_limit_s: float | None
    queue: str
    """The lane that the message came from: its group's slots are used."""

    # Owned by the consumer's thread.
    jobs: int
    """How many of the message's jobs have not ended: the slots that it holds."""
    cancelled_at: float | None = None
    """Monotonic time of a hard limit, a revoke or a cold shutdown."""

    # Owned by the loop's thread.
    _stopped: bool = False
    _soft_limit_due: bool = False
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    def terminate(self, signal: object = None) -> None:
        """Called by Celery's request to revoke the message, on the consumer's thread."""
        self.pool.terminate(self.id, signal)

    def start(self) -> None:
        """Begin, on the loop's thread."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        # Not at the end of _run: a task that is cancelled before its first step never gets there.
        self._task.add_done_callback(self._end)

    def _end(self, _task: object) -> None:
        # The task's context holds this execution: without this the circle would stay until a full collection.
        self._task = None
        self.pool.post(self.pool.finish, self)

    def close(self) -> None:
        """After its end, on the consumer's thread: releases what it holds. A connection that the message opened keeps
        its context, and so this execution, for as long as the connection lives.
        """
        del self.trace, self.callbacks

    def stop(self) -> None:
        """Cancel the coroutine, once: a second cancellation would break its clean-up."""
        if not self._stopped and self._task is not None:
            self._stopped = True
            self._soft_limit_due = False
            self._task.cancel()

    async def _run(self) -> None:
        current_execution.set(self)
        timers = self._start_timers()
        try:
            outcome = await run_in_greenlet(self.trace, self._interruption)
        except (Exception, asyncio.CancelledError, SystemExit):  # noqa: BLE001 - Celery must learn of any end
            end = partial(self.callbacks.on_failure, ExceptionInfo())
        else:
            end = partial(self.callbacks.on_success, outcome)
        finally:
            for timer in timers:
                timer.cancel()
        if not self._stopped:  # otherwise Celery has announced the end already
            self.pool.post(end)

    def _start_timers(self) -> list[asyncio.TimerHandle]:
        call_later = asyncio.get_running_loop().call_later
        limits = (
            (self.soft_limit_s, self._reach_soft_limit),
            (self.hard_limit_s, self._reach_hard_limit),
        )
        return [call_later(limit_s, reach) for limit_s, reach in limits if limit_s]

    def _reach_soft_limit(self) -> None:
        if not self._stopped and self._task is not None:
            self.pool.post(self.callbacks.on_timeout, True, self.soft_limit_s)
            self._soft_limit_due = True
            self._task.cancel()

    def _reach_hard_limit(self) -> None:
        if not self._stopped:
            self.pool.post(self.pool.announce_hard_limit, self)
            self.stop()

    def _interruption(self, error: BaseException) -> BaseException:
        """Turns the cancellation for a soft limit into Celery's own exception."""
        if not (self._soft_limit_due and isinstance(error, asyncio.CancelledError)):
            return error
        self._soft_limit_due = False
        if self._task is not None:
            self._task.uncancel()  # otherwise asyncio.timeout() in the clean-up would misread it
        limit: BaseException = SoftTimeLimitExceeded(self.soft_limit_s)
        return limit
