"""An env file before it goes to production: no value may be a placeholder, no secret short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from factory.errors import InvalidInput

SECRET_BYTES = 32
SECRET_NAMES = re.compile(r"(^|_)SECRET(_|$)")
PLACEHOLDERS = (
    (re.compile(r"\$\(|`"), "a command that nobody runs: an env file is read literally"),
    (re.compile(r"your[_-].*[_-]here", re.I), "a placeholder"),
    (re.compile(r"change[_-]?me", re.I), "a placeholder"),
    (re.compile(r"strong[_-]?password", re.I), "a placeholder"),
    (re.compile(r"<[^<>]+>"), "a placeholder in angle brackets"),
    (re.compile(r"\.\.\.|…"), "cut short"),
    (re.compile(r"\byourdomain\b|\bexample\.(com|org|net)\b", re.I), "an example's domain"),
)
ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a line. The value itself is never repeated: it may be a secret."""

    line: int
    name: str
    reason: str


def check_env_file(path: Path) -> list[Finding]:
    """All that must not go to production. Raises InvalidInput if the file cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", param="--env") from None
    return list(find_faults(text))


def find_faults(text: str) -> Iterator[Finding]:
    """Faults by line. Comments may say what they like: only values count."""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = ASSIGNMENT.fullmatch(stripped)
        if match is None:
            yield Finding(number, "", "not NAME=value")
            continue
        name, value = match[1], _unquote(match[2])
        reason = _fault(name, value)
        if reason:
            yield Finding(number, name, reason)


def _fault(name: str, value: str) -> str | None:
    for pattern, reason in PLACEHOLDERS:
        if pattern.search(value):
            return reason
    if SECRET_NAMES.search(name) and len(value.encode()) < SECRET_BYTES:
        return f"a secret under {SECRET_BYTES} bytes: make one with `openssl rand -hex 32`"
    return None


def _unquote(value: str) -> str:
    """The value without its quotes, or without the comment behind it."""
    quoted = re.fullmatch(r"(['\"])(.*)\1(?:\s+#.*)?", value)
    if quoted:
        return quoted[2]
    return re.split(r"\s+#", value, maxsplit=1)[0].strip()
