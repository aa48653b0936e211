"""A Celery pool that runs every message as a coroutine on one asyncio loop.

Two threads. Celery's consumer (the main thread) reads messages, acknowledges them and publishes
events; the loop's thread runs the tasks. Celery's callbacks are not thread-safe, so they all run in
the consumer's thread: the loop posts them to a mailbox whose pipe Celery's own event loop watches.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import math
import sys
import time
from asyncio import selector_events
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.concurrency.base import BasePool
from celery.signals import worker_shutting_down
from celery.worker import state

from workers.execution import Callbacks, Execution, PoolSide, current_execution
from workers.intake import Intake
from workers.loop import LoopThread
from workers.mailbox import Mailbox, WakePipe

logger = logging.getLogger(__name__)

POLL_S = 0.05
REPORT_S = 0.005
"""Reports within this time wake the consumer's thread once. It then frees their slots together, and fetches messages
for all of them in one round trip. Waking it for each one would cost a third of a job's CPU.
"""
READ_BYTES = 64 * 1024
CANCEL_GRACE_S = 5.0
"""How long a shutdown waits for a cancelled coroutine that does not end."""


def release_slot() -> None:
    """Tell the pool that one job of the current message has ended, so that its slot takes new work.

    A message of 32 jobs would otherwise hold 32 slots until its slowest job ends. Called within the task or anything
    that it gathers; the end of the message releases the remaining slots.
    """
    execution = current_execution.get()
    execution.pool.post(execution.pool.release, execution)


def on_consumer_thread(call: Callable[..., None], *args: Any) -> None:
    """From within a task: run `call(*args)` soon on the consumer's thread, which owns the connection."""
    current_execution.get().pool.post(call, *args)


def tune_interpreter() -> None:
    """Settings that together save a fifth of the CPU per job."""
    # What is loaded now stays, so collections skip it. The default threshold of 700 would walk thousands of live
    # coroutines many times a second, to find next to nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    read_less_at_once()
    # The loop and the consumer exchange small pieces of work, and each hand-over of the interpreter lock can
    # take as long as this interval, by default 5 ms.
    sys.setswitchinterval(0.0005)


def read_less_at_once() -> None:
    """Asyncio asks for 256 KB at each read from a socket. The allocator takes so much from the kernel and gives it back
    when it has seen how little came, which takes ten times as long as the read itself.
    """
    selector_events._SelectorTransport.max_size = READ_BYTES  # type: ignore[attr-defined]


class AsyncioPool(BasePool):  # type: ignore[misc]
    """`limit` slots that all groups of lanes share, and a reserve for each group; see `Intake`. A slot is one job in
    flight, and a message may hold several of them.

    Everything here runs on the consumer's thread. Signal handlers of a shutdown run on that thread too, at any point:
    so no lock is held, and a stop may be nested.
    """

    signal_safe = False
    body_can_be_buffer = True

    def on_start(self) -> None:
        """Start the loop with the app's contexts; their errors keep the worker from starting."""
        tune_interpreter()
        self._ids = itertools.count(1)
        self._executions: dict[int, Execution] = {}
        self._surplus = 0
        """Slots held beyond one per message."""
        self.intake = Intake(int(self.limit), self.app.amqp.queues.consume_from)
        self.fetch: Callable[[], None] = _no_fetch
        """Takes messages from lanes that have room again, without waiting. Set by the consumer."""
        self._pipe = WakePipe()
        self._reports = Mailbox(self._wake_soon)
        self._side = PoolSide(
            post=self._reports.post,
            release=self._release,
            finish=self._finish,
            announce_hard_limit=self._announce_hard_limit,
            terminate=self.terminate_job,
        )
        self._thread = LoopThread(self.app.loop_contexts)
        self._thread.start()
        worker_shutting_down.connect(self._interrupt_poll)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the tasks, for `run_coroutine_threadsafe` from other threads."""
        return self._thread.loop

    @property
    def num_processes(self) -> int:
        """How many *messages* may be reserved now.

        With `worker_disable_prefetch` the consumer takes a message only while it has fewer than this many. Lowered by
        the surplus, the number counts jobs. The lanes' room is checked before.
        """
        return self.intake.total - self._surplus

    def register_with_event_loop(self, hub: Any) -> None:
        """Have the consumer's event loop run the reports; called again after every reconnect."""
        hub.add_reader(self._pipe.fileno(), self._collect)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        callback: Callable[..., None],
        error_callback: Callable[..., None],
        accept_callback: Callable[[int, float], None],
        timeout_callback: Callable[[bool, float], None],
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_options: object,
    ) -> Execution:
        """Start a message. There is no queue before the loop: no message is taken without a free slot.

        It is accepted, and so acknowledged, here: otherwise a connection that breaks between its arrival and its start
        would have it delivered twice.
        """
        execution = Execution(
            pool=self._side,
            id=next(self._ids),
            trace=partial(target, *args, **kwargs),
            callbacks=Callbacks(callback, error_callback, timeout_callback),
            soft_limit_s=soft_timeout,
            hard_limit_s=timeout,
            queue=args[2]["delivery_info"]["routing_key"] or "",
            jobs=self._weigh(*args[:3]),
        )
        self._executions[execution.id] = execution
        self._surplus += execution.jobs - 1
        self.intake.started(execution.queue, execution.jobs)
        accept_callback(execution.id, time.monotonic())
        self._thread.post(execution.start)
        return execution

    def _finish(self, execution: Execution) -> None:
        del self._executions[execution.id]
        self._surplus -= execution.jobs - 1
        self.intake.ended(execution.queue, execution.jobs)
        execution.close()

    def _release(self, execution: Execution) -> None:
        """The last slot is the message's own, until it ends."""
        if execution.id in self._executions and execution.jobs > 1:
            execution.jobs -= 1
            self._surplus -= 1
            self.intake.ended(execution.queue, 1)

    def _announce_hard_limit(self, execution: Execution) -> None:
        """Have Celery count the message as failed; its coroutine is being cancelled."""
        execution.cancelled_at = time.monotonic()
        execution.callbacks.on_timeout(False, execution.hard_limit_s or 0.0)

    def terminate_job(self, pid: int, signal: object = None) -> None:
        """Cancel a running message. Celery's `pid` is the id that it was accepted with."""
        execution = self._executions.get(pid)
        if execution and execution.cancelled_at is None:
            execution.cancelled_at = time.monotonic()
            self._thread.post(execution.stop)

    def on_stop(self) -> None:
        """Wait for what runs, for the app's `drain_s` at most, then stop the loop."""
        drain_s = self.app.drain_s
        cold_at = math.inf if drain_s is None else time.monotonic() + drain_s
        while self._awaited():
            if time.monotonic() >= cold_at:
                logger.warning("%d messages were cut after %g s", len(self._executions), drain_s)
                self._terminate_all()
                cold_at = math.inf
            self._pipe.wait(POLL_S)
            self._read_reports()
        self._thread.stop()
        self._read_reports()

    def on_terminate(self) -> None:
        """Cancel what runs, then stop the loop."""
        self._terminate_all()
        self.on_stop()

    def _terminate_all(self) -> None:
        for number in tuple(self._executions):
            self.terminate_job(number)

    def _wake_soon(self) -> None:
        self._thread.loop.call_later(REPORT_S, self._pipe.wake)

    def _interrupt_poll(self, **_signal: object) -> None:
        """Let the consumer see a SIGTERM at once: its poll would otherwise go on, and take work, for a second."""
        self._pipe.wake()

    def _collect(self) -> None:
        """On Celery's event loop: fills free slots of lanes that BRPOP does not wait for now."""
        self._read_reports()
        if self.intake.waiting and not _stopping():
            self.fetch()

    def _read_reports(self) -> None:
        self._pipe.clear()
        self._reports.run()

    def _awaited(self) -> bool:
        """Whether a stop still has to wait: for all that runs, but only CANCEL_GRACE_S for what was cancelled."""
        oldest = time.monotonic() - CANCEL_GRACE_S
        return any(
            execution.cancelled_at is None or execution.cancelled_at > oldest
            for execution in self._executions.values()
        )

    def _weigh(self, task_name: str, _task_id: str, request: dict[str, Any]) -> int:
        try:
            weight = int(self.app.tasks[task_name].weigh(*request["args"], **request["kwargs"]))
        except (TypeError, ValueError):
            return 1  # wrong arguments: the task itself will fail with them
        return max(1, weight)

    def _get_info(self) -> dict[str, Any]:
        """For `inspect stats` and Flower: the limit, and what is in flight."""
        messages = len(self._executions)
        return {**super()._get_info(), "messages": messages, "jobs": messages + self._surplus}


def _no_fetch() -> None:
    """Before the first connection."""


def _stopping() -> bool:
    """Whether Celery was asked to end: its loop acts on that only later."""
    return any(told not in (None, False) for told in (state.should_stop, state.should_terminate))
