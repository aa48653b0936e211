from __future__ import annotations

import pytest

from factory.cli.exits import ExitCode, TimedOut, exit_code
from factory.errors import (
    Conflict,
    FactoryError,
    Forbidden,
    IdempotencyMismatch,
    InvalidInput,
    JobFailure,
    Misconfigured,
    NotFound,
    Unauthorized,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("x"), 2),
        (IdempotencyMismatch("x"), 2),
        (NotFound("x"), 2),
        (Conflict("x"), 2),
        (Misconfigured("x"), 2),
        (TimedOut("x"), 3),
        (Unauthorized("x"), 4),
        (Forbidden("x"), 4),
        (Unavailable("x"), 5),
        (JobFailure("x"), 1),
        (FactoryError("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: FactoryError, code: int) -> None:
    assert exit_code(error) is ExitCode(code)
