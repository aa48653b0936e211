"""Detects values that nobody can have intended: placeholders, weak secrets, keys that no header can carry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from factory.errors import Misconfigured

PLACEHOLDERS = (
    (re.compile(r"\$\(|`"), "holds a command that nobody runs: put its output there"),
    (re.compile(r"\$\{\w+\}"), "holds a variable that nobody expands: put its value there"),
    (re.compile(r"your[_-].*[_-]here|your[_-]?(api[_-]?)?(key|token|secret|password)", re.I), None),
    (re.compile(r"change[_-]?(me|this)|replace[_-]?(me|this|with)", re.I), None),
    (re.compile(r"<[^<>]*>|\.\.\.|…|\*\*\*"), None),
    (re.compile(r"placeholder|^(todo|tbd|fixme|null|undefined)$", re.I), None),
    (re.compile(r"^([a-z]+[_-])*x{3,}$", re.I), None),
)
"""Values of examples, and why each is refused; None: because it is a placeholder."""
WEAK_SECRETS = (
    (re.compile(r"^(.{1,12}?)\1+.{0,12}$", re.S), "repeats itself"),
    (re.compile(r"^(?!(?:.*?(.)(?!.*\1)){8})", re.S), "has fewer than 8 different characters"),
)
SECRET_LETTERS = 32
NEW_SECRET = "make one with `openssl rand -hex 32`"  # noqa: S105 - advice


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a variable. The value itself is never repeated: it may be a secret."""

    name: str
    reason: str
    weak: bool = False
    """The value is well-formed, but nobody can have intended it."""
    missing: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


def placeholder(value: str) -> str | None:
    """Why this is a placeholder; None if it is not."""
    for pattern, reason in PLACEHOLDERS:
        if pattern.search(value):
            return reason or "is a placeholder: put the real value there, or leave it empty"
    return None


def whole_placeholder(password: str) -> str | None:
    """The same for a password: it may contain what would be a placeholder elsewhere, but not be one."""
    return placeholder(password) if any(p.fullmatch(password) for p, _ in PLACEHOLDERS) else None


def weak_secret(value: str) -> str | None:
    """Why a signing secret of sufficient length can still be guessed; None if it is strong."""
    reason = placeholder(value)
    if reason is None and len(value) >= SECRET_LETTERS:
        reason = next((why for pattern, why in WEAK_SECRETS if pattern.search(value)), None)
    return f"{reason}; {NEW_SECRET}" if reason else None


def unsendable(key: str) -> str | None:
    """Why no HTTP header can carry this key; None if one can."""
    if not key.isascii():
        return "has a character that is not ASCII, which no HTTP header carries: copy it anew"
    if not key.isprintable() or " " in key:
        return "has white space or a control character inside: copy it anew, as one line"
    return None


class WrongSettings(Misconfigured):
    """All faults at once; `param` is the first of the variables."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        listed = "\n".join(f"  {fault}" for fault in faults)
        several = f"{len(faults)} settings are wrong:\n{listed}"
        super().__init__(str(faults[0]) if len(faults) == 1 else several, param=faults[0].name)
        self.faults = faults


def refuse(faults: Sequence[Fault]) -> None:
    """Raises WrongSettings that lists all faults; does nothing if there is none."""
    if faults:
        raise WrongSettings(faults)
