"""The page of commands: what `--help` of each says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from factory.cli.exits import ExitCode
from factory.cli.main import create_app

WIDTH = 100
INTRO = """# Reference: commands

Every command takes `--json`: one document on stdout, errors too. `factory simulate` prints JSON in any case. `FACTORY_URL` and
`FACTORY_API_KEY` name the gateway and the key for commands that speak to one; `factory up`, `db`, `keys`, `backup` and `maintenance`
use the [settings](../settings.md).

| exit code | what it means |
|---|---|
"""
MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "a job failed or was cancelled, a check found something, or the platform broke",
    ExitCode.USAGE: "the command line or what was sent is wrong; trying again does not help",
    ExitCode.TIMEOUT: "the given time was over; the job goes on",
    ExitCode.AUTH: "no key, or one without the scope",
    ExitCode.UNREACHABLE: "the gateway does not answer, or cannot serve now",
    ExitCode.INTERRUPTED: "Ctrl-C",
}


def page() -> str:
    """The page's Markdown: a section a command."""
    exits = "".join(f"| {code.value} | {MEANINGS[code]} |\n" for code in ExitCode)
    root = typer.main.get_command(create_app())
    return f"{INTRO}{exits}\n" + "\n".join(
        f"## {name}\n\n```text\n{text.strip()}\n```\n" for name, text in _help(root, "factory")
    )


def _help(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command,
        info_name=name.rpartition(" ")[2],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    yield name, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for child in getattr(command, "commands", {}).values():
        yield from _help(child, f"{name} {child.name}", context)
