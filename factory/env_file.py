"""The one rule about env files, for all programs: `docs/settings.md` says it to users.

The file is $FACTORY_ENV_FILE, or `.env` in the working directory if there is one. What the environment
names wins, even where it is empty. Values are read literally: no `$` is expanded, no command is run.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import Misconfigured

VARIABLE = "FACTORY_ENV_FILE"
DEFAULT = ".env"


@dataclass(frozen=True, slots=True)
class Line:
    """`NAME=value` as it was read; `name` is None for a line that is something else."""

    number: int
    name: str | None
    value: str
    expanded: bool = False
    """Whether `docker compose` takes a $ in it for a variable: anywhere but in single quotes."""


def use_env_file(environ: MutableMapping[str, str]) -> None:
    """Adds what the env file names and the environment does not. Raises Misconfigured that says where."""
    path = env_file(environ)
    if path is not None:
        for name, value in read_env_file(path).items():
            environ.setdefault(name, value)


def env_file(environ: Mapping[str, str]) -> Path | None:
    """Which file counts. One that is named must be there; an empty name is none."""
    named = environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named.strip() else None
    path = Path(DEFAULT)
    return path if path.is_file() else None


def read_env_file(path: Path) -> dict[str, str]:
    """Its values; of a name that comes twice, the last. Raises Misconfigured with file and line."""
    lines = list(parse_env(env_text(path)))
    for line in lines:
        if line.name is None:
            raise Misconfigured(
                f"{path}, line {line.number}: not NAME=value; write NAME=value, NAME='value' or "
                "# comment, and close every quote",
                param=VARIABLE,
            )
    return {line.name: line.value for line in lines if line.name}


def env_text(path: Path) -> str:
    """The file's text. Raises Misconfigured that says why it cannot be read."""
    try:
        # A byte order mark, which some editors leave, belongs to no name.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Misconfigured(
            f"{path}: cannot be read ({error.strerror}); {VARIABLE} names another, empty none",
            param=VARIABLE,
        ) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise Misconfigured(f"{path}, line {line}: not UTF-8", param=VARIABLE) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise Misconfigured(f"{path}, line {line}: a NUL character", param=VARIABLE)
    return text


def parse_env(text: str) -> Iterator[Line]:
    """Every line that is neither blank nor a comment, in python-dotenv's grammar."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - no command pays for it without a file

    for one in parse_stream(io.StringIO(text)):
        original = one.original.string
        blank_lines = original[: len(original) - len(original.lstrip())].count("\n")
        number = one.original.line + blank_lines
        if one.error or (one.key and one.value is None):
            yield Line(number, None, "")
        elif one.key:
            value, written = one.value or "", original.partition("=")[2].lstrip()
            yield Line(number, one.key, value, "$" in value and not written.startswith("'"))
