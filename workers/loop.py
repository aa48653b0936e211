"""The asyncio loop of a worker process, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from workers.mailbox import Mailbox

logger = logging.getLogger(__name__)

LoopContext = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens something on the loop before the first message, closes it after the last."""

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LEFTOVERS_TIMEOUT_S = 1.0


class LoopThread:
    """Runs a loop; `post` is how the consumer's thread reaches it.

    The contexts are entered and left by one asyncio task, as cancel scopes demand.
    """

    def __init__(self, contexts: Sequence[LoopContext]) -> None:
        self._contexts = contexts
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stopping = asyncio.Event()
        # Daemon: neither a coroutine that refuses to end nor a blocked loop may keep the process.
        self._thread = threading.Thread(target=self._run, name="asyncio-pool", daemon=True)
        self._mailbox = Mailbox(self._wake)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; raises what kept it from starting."""
        return self._ready.result(START_TIMEOUT_S)

    @property
    def thread_id(self) -> int | None:
        """The loop's thread, for a look at its stack."""
        return self._thread.ident

    def start(self) -> None:
        """Return when every context is open; raises what one of them raised."""
        self._thread.start()
        _ = self.loop

    def post(self, call: Callable[..., Any], *args: Any) -> None:
        """Run `call(*args)` on the loop; nothing happens once it has stopped."""
        self._mailbox.post(call, *args)

    def stop(self) -> None:
        """Close the contexts, cancel what is left and end the thread, in STOP_TIMEOUT_S at most."""
        if not self._thread.is_alive():
            return
        self.post(self._stopping.set)
        self._thread.join(STOP_TIMEOUT_S)
        if self._thread.is_alive():
            logger.error("the loop did not stop in %s s, it is abandoned", STOP_TIMEOUT_S)

    def _wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._mailbox.run)
        except RuntimeError:
            logger.debug("posted to a closed loop")

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        # Not asyncio.Runner: it would wait for ever for a task that swallows its cancellation.
        loop.run_until_complete(self._serve())
        if not asyncio.all_tasks(loop):
            loop.close()

    async def _serve(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                for context in self._contexts:
                    await stack.enter_async_context(context())
                self._ready.set_result(asyncio.get_running_loop())
                await self._stopping.wait()
        # A context may raise anything: at the start the caller gets it, at the end it is logged.
        except Exception as error:
            if self._ready.done():
                logger.exception("a context of the loop did not close")
            else:
                self._ready.set_exception(error)
        await _cancel_leftovers()


async def _cancel_leftovers() -> None:
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftovers:
        task.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=LEFTOVERS_TIMEOUT_S)
