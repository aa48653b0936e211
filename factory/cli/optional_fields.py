"""An option of a command for each optional field of a job that callers give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

from factory.domain.job_fields import ASKED

PLACE = "optional"


def with_optional_fields(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options in place of its argument `optional`, which takes their values by name."""

    @wraps(command)
    def run(**given: Any) -> None:
        optional = {name: given.pop(name) for name in ASKED}
        command(**given, **{PLACE: optional})

    own = signature(command, eval_str=True)
    # Typer makes the options of what the signature says.
    run.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[each for one in own.parameters.values() for each in _parameters(one)]
    )
    return run


def _parameters(own: Parameter) -> Iterator[Parameter]:
    if own.name != PLACE:
        yield own
        return
    for name, one in ASKED.items():
        kind = int if one.sql == "integer" else str
        option = Annotated[kind | None, typer.Option(help=one.asked)]  # type: ignore[valid-type]
        yield Parameter(name, own.kind, default=None, annotation=option)
