"""The output of commands: JSON or text on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NO_EDGE = 10_000
"""Columns; tables take only what they need."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="The gateway; default $FACTORY_URL, or the one here.")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="The API key; default $FACTORY_API_KEY.")
]


def print_json(document: Any) -> None:
    """One document on one line, so that a stream of them is NDJSON."""
    print_lines([json.dumps(document, ensure_ascii=False)])


def print_lines(lines: Iterable[str]) -> None:
    """Lines as they are: never wrapped, never coloured."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_rich(*things: RenderableType) -> None:
    """For people. Without a terminal, or with NO_COLOR, Rich leaves colours out by itself."""
    console = open_console(sys.stdout)
    for thing in things:
        if console.is_terminal:
            console.print(thing)
            continue
        with console.capture() as capture:
            console.print(thing)
        # Tables pad their last column; a log that is read in 80 columns would wrap each line.
        print_lines(line.rstrip() for line in capture.get().splitlines())


def terminal_width() -> int | None:
    """Columns of the terminal; None if stdout is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def open_console(out: TextIO) -> Console:
    """A console that writes plain text where there is no terminal, and cuts off no line there."""
    from rich.console import Console

    return Console(file=out, highlight=False, width=None if out.isatty() else NO_EDGE)


def complain(message: str) -> None:
    """An error, on stderr."""
    sys.stderr.write(f"factory: {message}\n")
    sys.stderr.flush()
