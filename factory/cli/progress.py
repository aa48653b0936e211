"""The demo's jobs while they run: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from factory.cli.render import cost_text, state_text, table, tokens_text
from factory.cli.scenario import BULK_LABEL, LABEL

Job = dict[str, Any]
BAR_WIDTH = 40
WAITING = "waiting for"
SILENCE_S = 15.0
"""After so long without a line, it prints what it waits for."""


def split(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs on their own, oldest first, and those of the bulk."""
    single = [job for job in jobs if job["metadata"][LABEL] != BULK_LABEL]
    bulk = [job for job in jobs if job["metadata"][LABEL] == BULK_LABEL]
    return sorted(single, key=lambda job: str(job["id"])), bulk


class Progress:
    """Shows each `update`; a context manager, because a live table must be ended."""

    def __init__(self, console: Console, bulk_size: int, expected: int) -> None:
        self._console = console
        self._bulk_size = bulk_size
        self._expected = expected
        self._live = Live(console=console, transient=False) if console.is_terminal else None
        self._told: dict[str, str] = {}
        self._spoken_at = time.monotonic()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, jobs: list[Job], webhooks: int) -> None:
        """The jobs as they are now, and how many webhooks have been verified."""
        if self._live:
            self._live.update(self._screen(jobs, webhooks))
        else:
            self._tell_changes(jobs, webhooks)

    def _screen(self, jobs: list[Job], webhooks: int) -> RenderableType:
        single, bulk = split(jobs)
        ended = sum(1 for job in bulk if job["finished_at"])
        bars = Table.grid(padding=(0, 1))
        for name, done, total in (
            (f"{BULK_LABEL} of {self._bulk_size}", ended, self._bulk_size),
            ("webhooks verified", webhooks, self._expected),
        ):
            bars.add_row(name, ProgressBar(total, done, width=BAR_WIDTH), f"{done}/{total}")
        return Group(trials_table(single), Text(), bars)

    def _tell_changes(self, jobs: list[Job], webhooks: int) -> None:
        single, bulk = split(jobs)
        for job in single:
            self._tell(job["metadata"][LABEL], f"{job['state']}  {job['lane']}")
        quarters = 4 * sum(1 for job in bulk if job["finished_at"]) // max(self._bulk_size, 1)
        self._tell(BULK_LABEL, f"{quarters * self._bulk_size // 4} of {self._bulk_size} ended")
        if webhooks >= self._expected:
            self._tell("webhooks", f"{webhooks} verified")
        if time.monotonic() - self._spoken_at > SILENCE_S:
            self._told.pop(WAITING, None)
            self._tell(WAITING, waiting_for(jobs, self._expected - webhooks))

    def _tell(self, name: str, what: str) -> None:
        if self._told.get(name) != what:
            self._told[name] = what
            self._spoken_at = time.monotonic()
            self._console.print(Text(f"  {name:<12} {what}"))


def waiting_for(jobs: list[Job], webhooks: int) -> str:
    """What has not ended yet, by label, or else how many webhooks are on their way."""
    labels = [str(job["metadata"][LABEL]) for job in jobs if not job["finished_at"]]
    return ", ".join(dict.fromkeys(labels)) or f"{webhooks} webhooks"


def trials_table(jobs: list[Job]) -> Table:
    """One line a job: what it is, where it is, what it used."""
    columns = ("", "state", "lane", "attempt", "tokens", "cost")
    return table(columns, (_cells(job) for job in jobs))


def _cells(job: Job) -> tuple[object, ...]:
    return (
        job["metadata"][LABEL],
        state_text(job["state"]),
        job["lane"],
        f"{job['attempt']}/{job['max_attempts']}",
        tokens_text(job["usage"]),
        cost_text(job),
    )
