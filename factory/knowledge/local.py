"""The local embedding model and the chunker, each in a process of its own that the jobs of a worker share."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from factory.isolation.processes import Processes
from factory.knowledge.chunk import Chunk, blocks
from factory.knowledge.schedule import Owner, Schedule, Work
from factory.knowledge.work import cut_blocks, embed_texts

TEXTS_AT_ONCE = 4
"""Work of a quarter of a second, for full chunks: the longest that a query waits for the piece before it."""
CHARACTERS_AT_ONCE = 50_000
"""Characters that are cut at once: work of a tenth of a second."""
BLOCKS_AT_ONCE = 100
PIECE_S = 60.0
"""The longest time for a piece of work. After that its process is killed: something must be wrong."""

Result = TypeVar("Result")


class LocalModel:
    """Cuts texts into chunks and embeds them, for all jobs of a process. Made and used on one event loop.

    The processes start with the first work and end when there has been none for a while. When one dies, the job that
    it worked for fails with WorkLost, which is worth another attempt, and another process goes on with the others.
    """

    def __init__(self) -> None:
        self._embedding = _Line("local embedding model", embed_texts, TEXTS_AT_ONCE)
        # A process of its own, so that texts for other models do not wait for this model.
        self._cutting = _Line("chunker", cut_blocks, BLOCKS_AT_ONCE)

    async def embed(self, texts: Sequence[str], owner: Owner) -> tuple[list[array[float]], int]:
        """One vector of 384 numbers and length 1 for each text, in order, and the tokens of all.

        If the caller is cancelled, the rest of its texts is dropped. Raises WorkLost or WorkTooLong.
        """
        answers = await self._embedding.ask(texts, owner)
        return [vector for vector, _ in answers], sum(tokens for _, tokens in answers)

    async def split(self, texts: Sequence[str], owner: Owner) -> list[list[Chunk]]:
        """The chunks of each text, as `chunk.split` gives them with the model's tokenizer. Raises as `embed`."""
        places = [
            (n, start, block) for n, text in enumerate(texts) for start, block in blocks(text)
        ]
        if not places:
            return [[] for _ in texts]
        answers = await self._cutting.ask([block for _, _, block in places], owner)
        found: list[list[Chunk]] = [[] for _ in texts]
        for (n, at, _), spans in zip(places, answers, strict=True):
            for start, end in spans:
                text = texts[n][at + start : at + end]
                found[n].append(Chunk(len(found[n]), at + start, at + end, text))
        return found

    @property
    def pids(self) -> list[int]:
        """The processes that live now, the model's first."""
        return self._embedding.pids + self._cutting.pids

    async def close(self) -> None:
        """Ends the processes; what they still had to do fails with WorkLost."""
        await self._embedding.close()
        await self._cutting.close()


@dataclass(eq=False, slots=True)
class _Request(Work[str], Generic[Result]):
    """Texts of one job, the answers so far, and the future of the caller that waits for all of them."""

    answers: list[Result] = field(default_factory=list)
    answered: asyncio.Future[list[Result]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Line(Generic[Result]):
    """One process that works off the texts of many jobs, a few at a time, in the order of a schedule."""

    def __init__(
        self, name: str, function: Callable[[Sequence[str]], list[Result]], most_items: int
    ) -> None:
        self._function = function
        self._schedule: Schedule[str] = Schedule(most_items, CHARACTERS_AT_ONCE)
        self._processes = Processes(name, most=1, modules=[function.__module__])
        self._runner: asyncio.Task[None] | None = None

    async def ask(self, texts: Sequence[str], owner: Owner) -> list[Result]:
        """The function's answer to each text."""
        request: _Request[Result] = _Request(owner, texts, [len(text) for text in texts])
        self._schedule.add(request)
        if self._runner is None or self._runner.done():
            # In a fresh context, not in that of the job that happens to be first.
            self._runner = asyncio.get_running_loop().create_task(self._run(), context=Context())
        try:
            return await request.answered
        finally:
            self._schedule.discard(request)

    @property
    def pids(self) -> list[int]:
        return self._processes.pids

    async def close(self) -> None:
        await self._processes.close()

    async def _run(self) -> None:
        """Works until no request is left. It is a task of its own, so that a cancelled job interrupts no process."""
        while piece := self._schedule.next():
            request, texts = piece
            assert isinstance(request, _Request)
            try:
                answers = await self._processes.run(self._function, (texts,), timeout_s=PIECE_S)
            except Exception as error:  # noqa: BLE001 - the job that asked must learn of any error
                self._schedule.discard(request)
                if not request.answered.done():
                    request.answered.set_exception(error)
                continue
            request.answers += answers
            if len(request.answers) == len(request.items) and not request.answered.done():
                request.answered.set_result(request.answers)
