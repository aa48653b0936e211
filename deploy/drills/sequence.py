"""In which order drills run, and what one leaves to the next."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage
from deploy.validate.tools import Tools

Ground = Callable[[Stage], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Drill:
    """A scenario: it happens on what `ground` gives. `spent`: nothing else can happen there afterwards."""

    name: str
    ground: Ground
    happen: Callable[[Stage, Any], Outcome]
    spent: bool

    @classmethod
    def of(cls, package: str, name: str) -> Drill:
        module = import_module(f"{package}.{name}")
        return cls(name, module.GROUND, module.drill, getattr(module, "SPENDS_GROUND", False))


def in_order(drills: Iterable[Drill]) -> list[Drill]:
    """Those of one ground together, and last the one that spends it."""
    return sorted(drills, key=lambda one: (one.ground.__name__, one.spent, one.name))


class CurrentGround:
    """What the last drill has left, for the next one of the same ground.

    There is one at a time: the programs of another would take processor time from the drill that is measured.
    """

    def __init__(self, tools: Tools, *, quick: bool) -> None:
        self._tools = tools
        self._quick = quick
        self._ground: Ground | None = None
        self._stage: Stage | None = None
        self._value: Any = None
        self._running = ExitStack()

    def perform(self, drill: Drill) -> Outcome:
        """On the ground of before where it is the same, else on a new one. Raises what the drill raises."""
        if self._ground is not drill.ground:
            self.leave()
            self._enter(drill.ground)
        assert self._stage is not None
        return drill.happen(self._stage.part(drill.name), self._value)

    def leave(self, *, keep_files: bool = False) -> Path | None:
        """Ends what runs; gives where its files are. They are removed unless they are to be kept."""
        stage, self._stage, self._ground = self._stage, None, None
        self._running.close()
        if stage and not keep_files:
            stage.clear()
        return stage.directory if stage else None

    def _enter(self, ground: Ground) -> None:
        directory = Path(tempfile.mkdtemp(prefix="drill-"))
        self._stage = Stage(directory, self._tools, self._quick)
        self._value = self._running.enter_context(ground(self._stage))
        self._ground = ground
