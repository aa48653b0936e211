"""`factory maintenance …`: what Postgres needs regularly; cron or systemd timers run it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.exits import ExitCode
from factory.cli.output import JsonOption, print_json, print_lines

if TYPE_CHECKING:
    from factory.pipeline.upkeep.maintenance import Report
    from factory.store.database import Database

COLUMNS = 80

WaitOption = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for another maintenance to end.")
]


def nightly(wait: WaitOption = 0, as_json: JsonOption = False) -> None:
    """Vacuum and analyze all tables, then check. Exits 1 if something is to be looked at."""
    from factory.pipeline.upkeep import maintenance

    _run(partial(maintenance.nightly, wait_s=wait), as_json)


def weekly(wait: WaitOption = 0, as_json: JsonOption = False) -> None:
    """Rebuild indexes while they are in use, then check. Exits 1 if something is to be looked at."""
    from factory.pipeline.upkeep import maintenance

    _run(partial(maintenance.weekly, wait_s=wait), as_json)


def check(as_json: JsonOption = False) -> None:
    """Look for bloat, broken indexes and missing partitions. Exits 1 if there are any."""
    from factory.pipeline.upkeep import maintenance

    _run(maintenance.check, as_json)


def _run(work: Callable[[Database], Report], as_json: bool) -> None:
    from factory.cli.operator import operator_database_url
    from factory.config import libpq_url
    from factory.store.database import Database

    url = libpq_url(operator_database_url())
    database = Database(url, pool_size=1, process="maintenance", statement_s=0)
    try:
        report = work(database)
    finally:
        database.close()
    if as_json:
        print_json(asdict(report))
    else:
        print_lines(report_lines(report))
    if report.findings:
        raise typer.Exit(ExitCode.FAILED)


def report_lines(report: Report) -> Iterator[str]:
    """What was done and found; dozens of names of tables and indexes are summarized."""
    for done, names in (
        ("vacuumed and analyzed", report.vacuumed),
        ("reindexed", report.reindexed),
        ("dropped", report.dropped),
    ):
        if names:
            yield from textwrap.wrap(f"{done}: {', '.join(names)}", COLUMNS, subsequent_indent="  ")
    for finding in report.findings:
        yield f"{finding.kind} {finding.name}: {finding.detail}"
    if not report.findings:
        yield "nothing found"


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="What Postgres needs regularly.", no_args_is_help=True)
    for command in (nightly, weekly, check):
        app.command()(command)
    return app
