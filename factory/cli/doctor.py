"""`factory doctor`: is everything there that the platform needs?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from factory.cli.exits import ExitCode
from factory.cli.output import JsonOption, print_json, print_rich

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    env: Annotated[
        Path | None, typer.Option(help="An env file that must hold no placeholder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether this machine has all that is needed.

    Python, machine, ports, servers, providers, and an env file. Exits 1 if anything fails.
    """
    from rich.text import Text

    from factory.cli.check import Status
    from factory.cli.checks import run_checks
    from factory.cli.render import table

    checks = run_checks(env)
    failed = any(check.status is Status.FAIL for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        rows = ((Text(c.status, style=STYLES[c.status]), c.name, c.detail) for c in checks)
        print_rich(table(("", "check", "found"), rows))
    if failed:
        raise typer.Exit(ExitCode.FAILED)
