"""Writes the tables of docs/settings.md: `python -m factory.config.reference`. They are made of the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt

from factory.config import settings as module
from factory.config.environment import PARTS, SECRETS
from factory.config.settings import Settings

PAGE = Path("docs/settings.md")
BEGIN, END = "<!-- made by python -m factory.config.reference -->", "<!-- end -->"
SECTION = re.compile(r"    # (\w.*)")
UNITS = {"_s": "s", "_days": "days", "_months": "months", "_bytes": "bytes"}
GROUPED = 10_000
HEAD = ("| variable | default | what it is |", "|---|---|---|")
BOUNDS = (
    (Ge, "ge", "from {}"),
    (Gt, "gt", "above {}"),
    (Le, "le", "to {}"),
    (Lt, "lt", "below {}"),
)


def tables() -> str:
    """All settings by section, then the parts of the URLs and the secrets that may stand in files."""
    lines = list(_settings_tables())
    for server, parts in PARTS.items():
        lines += ["", f"### Parts of {server}_URL", "", "| variable | what it is |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in parts.items()]
    files = ", ".join(f"`{name}_FILE`" for name in SECRETS)
    return "\n".join([*lines, "", "### Secrets in files", "", files, ""]).lstrip("\n")


def descriptions() -> dict[str, str]:
    """The docstring below each field, as one line."""
    body = ast.parse(inspect.getsource(Settings)).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, following in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr):
            text = ast.literal_eval(following.value)
            found[field.target.id] = " ".join(text.split())  # type: ignore[union-attr]
    return found


def bounds(name: str) -> dict[str, Any]:
    """What the number may be: `ge`, `gt`, `le`, `lt`, by what the field says."""
    metadata = Settings.model_fields[name].metadata
    return {
        attribute: getattr(one, attribute)
        for one in metadata
        for kind, attribute, _ in BOUNDS
        if isinstance(one, kind)
    }


def _settings_tables() -> Iterator[str]:
    known = descriptions()
    for line in inspect.getsource(module).splitlines():
        section = SECTION.fullmatch(line)
        name = line.strip().partition(":")[0]
        if section:
            yield from ("", f"### {section[1]}", "", *HEAD)
        elif line.startswith(f"    {name}:") and name in Settings.model_fields:
            yield _row(name, known.get(name, ""))


def _row(name: str, meaning: str) -> str:
    unit = next((f" {word}" for end, word in UNITS.items() if name.endswith(end)), "")
    field = Settings.model_fields[name]
    default = "*needed*" if field.is_required() else _shown(field.default, unit)
    allowed = [
        words.format(f"{bounds(name)[key]:,}") for _, key, words in BOUNDS if key in bounds(name)
    ]
    suffix = f" ({' '.join(allowed)})" if allowed else ""
    return f"| `{name.upper()}` | {default} | {meaning.replace('|', '&#124;')}{suffix} |"


def _shown(default: Any, unit: str) -> str:
    if default is None or default == "":
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float):
        number = f"{default:g}" if default < GROUPED else f"{int(default):,}"
        return f"{number}{unit}"
    return f"`{default}`"


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
