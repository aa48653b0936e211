"""One thing that the doctor looked at, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check came out; only FAIL makes the doctor exit non-zero."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what to do about it where it is not well."""

    name: str
    status: Status
    detail: str


def rated(name: str, good: bool, found: str, mend: str) -> Check:
    """Fails where it is not good."""
    return Check(name, Status.OK, found) if good else Check(name, Status.FAIL, f"{found}: {mend}")


def advised(name: str, good: bool, found: str, advice: str) -> Check:
    """Warns where it is not good."""
    return Check(name, Status.OK, found) if good else Check(name, Status.WARN, advice)
