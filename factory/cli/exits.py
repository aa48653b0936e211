"""What a command exits with. Scripts rely on these numbers."""

from __future__ import annotations

from enum import IntEnum

from factory.errors import (
    Conflict,
    FactoryError,
    Forbidden,
    InvalidInput,
    Misconfigured,
    NotFound,
    Unauthorized,
    Unavailable,
)


class ExitCode(IntEnum):
    """The meaning of each exit status."""

    OK = 0
    FAILED = 1
    """A job failed or was cancelled, a check found something, or the platform itself broke."""
    USAGE = 2
    """The command line or what was sent is wrong; trying again does not help."""
    TIMEOUT = 3
    """The job had not ended within the given time; it goes on."""
    AUTH = 4
    UNREACHABLE = 5
    """The gateway does not answer, or cannot serve now."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells have it."""


class TimedOut(FactoryError):
    """The job or answer did not come within the given time."""

    type = "timeout"
    retryable = True


class Interrupted(FactoryError):
    """Ctrl-C, where something goes on without the command."""

    type = "interrupted"


EXITS: tuple[tuple[type[FactoryError], ExitCode], ...] = (
    (TimedOut, ExitCode.TIMEOUT),
    (Interrupted, ExitCode.INTERRUPTED),
    (Unauthorized, ExitCode.AUTH),
    (Forbidden, ExitCode.AUTH),
    (Unavailable, ExitCode.UNREACHABLE),
    (InvalidInput, ExitCode.USAGE),
    (NotFound, ExitCode.USAGE),
    (Conflict, ExitCode.USAGE),
    (Misconfigured, ExitCode.USAGE),
)


def exit_code(error: FactoryError) -> ExitCode:
    """The exit status for an error; FAILED for every kind that EXITS does not name."""
    return next((code for kind, code in EXITS if isinstance(error, kind)), ExitCode.FAILED)
