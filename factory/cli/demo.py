"""`factory demo`: the whole platform from nothing, in a directory that goes away again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from factory.cli.exits import ExitCode
from factory.cli.output import JsonOption


class Llm(StrEnum):
    """Who answers the demo's completions."""

    SIMULATED = "simulated"
    LOCAL = "local"


def demo(
    llm: Annotated[
        Llm, typer.Option(help="local: a small model on this machine (pip install '.[local-llm]').")
    ] = Llm.SIMULATED,
    as_json: JsonOption = False,
) -> None:
    """Run jobs of every kind, check each, stop.

    All of it runs in a temporary directory.

    Four providers, structured output, a bulk of 200, embedding and search over real text, a job
    that fails, a signed webhook for each. Exits 1 and says what is wrong if anything is.
    """
    from factory.cli.showcase import run_showcase

    if run_showcase(local_llm=llm is Llm.LOCAL, as_json=as_json).wrong:
        raise typer.Exit(ExitCode.FAILED)
