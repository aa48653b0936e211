"""Checks an env file for production: no value may be a placeholder, no secret short."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.config.faults import NEW_SECRET, SECRET_LETTERS, placeholder, weak_secret
from factory.env_file import env_text, parse_env

SECRET_NAMES = re.compile(r"(^|_)SECRET(_|$)")
EXAMPLES = (
    (re.compile(r"strong[_-]?password", re.I), "is a placeholder: put the real password there"),
    (
        re.compile(r"\byourdomain\b|\bexample\.(com|org|net)\b", re.I),
        "is an example's domain: put your own there",
    ),
)
"""Values that a program would accept, but that production must not have."""
DOMAIN = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "SERVER_NAME": (DOMAIN, "is not a name alone, without https://, port and path"),
    "FLOWER_BASIC_AUTH": (
        re.compile(r"[^:,\s]+:[^:,]+"),
        "is not user:password, without another colon or a comma",
    ),
    "POSTGRES_PROFILE": (re.compile("8gb|16gb|32gb"), "must be 8gb, 16gb or 32gb"),
    "NETWORK_PREFIX": (
        re.compile(r"172\.(1[6-9]|2\d|3[01])\.\d{1,3}"),
        "is not the first three numbers of a network within 172.16.0.0/12",
    ),
}
"""Of variables that only compose reads, and that no program would refuse."""
EXPANDED = "holds a $, which docker compose takes for a variable: write the value in single quotes"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a line. The value itself is never repeated: it may be a secret."""

    line: int
    name: str
    reason: str


def check_env_file(path: Path) -> list[Finding]:
    """All that must not go to production. Raises Misconfigured if the file cannot be read."""
    return list(find_faults(env_text(path)))


def find_faults(text: str) -> Iterator[Finding]:
    """Faults by line. Comments may say what they like: only values count."""
    for line in parse_env(text):
        if line.name is None:
            yield Finding(line.number, "", "is not NAME=value")
        elif reason := _fault(line.name, line.value) or (EXPANDED if line.expanded else None):
            yield Finding(line.number, line.name, reason)


def _fault(name: str, value: str) -> str | None:
    secret = SECRET_NAMES.search(name)
    if secret and not name.endswith("_FILE") and len(value.encode()) < SECRET_LETTERS:
        return placeholder(value) or f"has under {SECRET_LETTERS} bytes: {NEW_SECRET}"
    reason = weak_secret(value) if secret else placeholder(value)
    reason = reason or next((why for pattern, why in EXAMPLES if pattern.search(value)), None)
    form = FORMS.get(name)
    return reason or (form[1] if value and form and not form[0].fullmatch(value) else None)
