"""Processes that start fast: a server that has imported all that they need forks one for each request.

A Python that imports the platform takes seconds of CPU, a fork of one a few milliseconds. Why not `multiprocessing`'s
own fork server: it runs the parent's main module again in each child, and cannot be ended to give its memory back.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from factory.isolation.child import die_with, take_pipes

IDLE_S = 60.0
"""How long a server waits for another request: it holds some 200 MB."""


class ForkServer:
    """`python -m MODULE`, started when it is needed and ended when it is not. Belongs to one event loop.

    One request at a time. A forked process goes on when this process dies, as its jobs may run well. It is killed when its
    server dies: nobody could tell how it ended.
    """

    def __init__(self, module: str, *, idle_s: float = IDLE_S) -> None:
        self._module = module
        self._idle_s = idle_s
        self._server: Process | None = None
        self._retirement: asyncio.TimerHandle | None = None

    async def run(self, words: Sequence[str]) -> int:
        """The exit code of a process that was given these words; negative for a signal.

        Words hold no white space. If the server dies, its own exit code is given. A caller that is cancelled kills
        server and process.
        """
        if self._retirement:
            self._retirement.cancel()
        if self._server is None or self._server.returncode is not None:
            self._server = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, stdin=PIPE, stdout=PIPE
            )
        try:
            answer = await _ask(self._server, " ".join(words))
        # The caller is cancelled: nobody waits for the process any more.
        except BaseException:
            self._server.kill()
            raise
        if not answer:
            return await self._server.wait() or -signal.SIGKILL
        self._retirement = asyncio.get_running_loop().call_later(self._idle_s, self._let_go)
        return int(answer)

    async def close(self) -> None:
        """Ends the server; returns when it has ended."""
        if self._retirement:
            self._retirement.cancel()
        server = self._server
        self._let_go()
        if server:
            await server.wait()

    def _let_go(self) -> None:
        server, self._server = self._server, None
        if server and server.stdin:
            server.stdin.close()


async def _ask(server: Process, request: str) -> bytes:
    """The server's answer; nothing if it has died."""
    assert server.stdin is not None
    assert server.stdout is not None
    with suppress(ConnectionError):
        server.stdin.write(request.encode() + b"\n")
        await server.stdin.drain()
    return await server.stdout.readline()


def serve(run: Callable[[Sequence[str]], None]) -> None:
    """Calls `run` in a process of its own for each line of words on stdin; writes its exit code to stdout.

    There must be no other thread: a fork would take its locks along, and not the thread.
    """
    requests, answers = take_pipes()
    # What is loaded now is shared with the forks. A collection would write to it, and so copy it.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := requests.readline():
        code = _run_forked(run, line.decode().split())
        with suppress(BrokenPipeError):
            answers.write(b"%d\n" % code)
            answers.flush()


def _run_forked(run: Callable[[Sequence[str]], None], words: Sequence[str]) -> int:
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            die_with(server)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(words)
        # Whatever ends it, a fork must not go on as a second server.
        except BaseException as error:  # noqa: BLE001
            os._exit(_exit_code(error))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    traceback.print_exception(error)
    return 1
