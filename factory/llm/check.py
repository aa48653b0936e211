"""Checks of answers against their schemas: at once where that is quick, otherwise in a child process."""

from __future__ import annotations

from typing import Any

from factory.errors import InvalidInput, InvalidOutput, SchemaUnusable, WorkLost, WorkTooLong
from factory.isolation.processes import Processes
from factory.llm.answer import Schema, parse_answer
from factory.llm.schema import PARAM, Measured, check_schema
from factory.llm.schema_patterns import compile_heavy, is_heavy

CHECK_S = 10.0
CHECKERS = 2
CHECKER_BYTES = 1 << 30
QUICK_CHARACTERS = 200_000
QUICK_STEPS = 10_000
"""The number of values in the schema times that in the answer. Each pair takes at most 5 µs, and nearly all take much
less.
"""


class AnswerCheck:
    """Holds answers against schemas, on one event loop that others share."""

    def __init__(self) -> None:
        self._processes = Processes(
            "check of the answer",
            most=CHECKERS,
            modules=("factory.llm.answer",),
            memory_bytes=CHECKER_BYTES,
        )

    async def prepare(self, schema: Schema, owner: str) -> Measured:
        """What a check against the schema may cost. Raises InvalidInput for a schema that an older version accepted
        and this one does not.
        """
        measured = check_schema(schema)
        if heavy := tuple(filter(is_heavy, measured.patterns)):
            try:
                await self._processes.run(compile_heavy, (heavy,), timeout_s=CHECK_S, owner=owner)
            except (WorkTooLong, WorkLost):
                raise InvalidInput(
                    f"a pattern takes too much time or memory: {heavy[0][:100]!r}", param=PARAM
                ) from None
        return measured

    async def parse(self, text: str, schema: Schema, measured: Measured, owner: str) -> Any:
        """`text` as JSON that satisfies the schema. Raises InvalidOutput.

        Owners, such as projects, take turns at the processes; see `Processes`.
        """
        if is_quick(text, measured):
            return parse_answer(text, schema)
        try:
            return await self._processes.run(
                parse_answer, (text, schema), timeout_s=CHECK_S, owner=owner
            )
        except WorkTooLong:
            raise SchemaUnusable(
                f"the check of the answer against the schema took more than {CHECK_S:g} s"
            ) from None
        except WorkLost:
            raise InvalidOutput("the check of the answer took too much memory, or broke") from None

    async def close(self) -> None:
        """Ends the child processes."""
        await self._processes.close()


def is_quick(text: str, measured: Measured) -> bool:
    """Whether the check surely takes less than some 50 ms."""
    if measured.recursive or measured.slow_words or measured.patterns:
        return False
    # Every value of a JSON text except the first follows one of these characters.
    values = 1 + text.count(",") + text.count("[") + text.count("{")
    return len(text) <= QUICK_CHARACTERS and measured.values * values <= QUICK_STEPS
