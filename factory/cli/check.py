"""One check of the doctor, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The result of a check; only FAIL makes the doctor exit non-zero."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and what to do if its result is not OK."""

    name: str
    status: Status
    detail: str


def rated(name: str, good: bool, found: str, remedy: str) -> Check:
    """Fails where it is not good."""
    return Check(name, Status.OK, found) if good else Check(name, Status.FAIL, f"{found}: {remedy}")


def advised(name: str, good: bool, found: str, advice: str) -> Check:
    """Warns where it is not good."""
    return Check(name, Status.OK, found) if good else Check(name, Status.WARN, advice)
