"""Writes the tables of docs/settings.md and `.env.production`: `python -m factory.config.reference`.

Both are made of the code, and of the providers' files.
"""

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
from factory.config.provider_fields import provider_fields
from factory.config.settings import PlatformSettings, Settings

PAGE = Path("docs/settings.md")
PROVIDERS_SECTION = "Providers"
"""The section in which the settings of providers' files come before the others."""
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
    """The docstring below each field, or what a provider's file says, as one line."""
    body = ast.parse(inspect.getsource(PlatformSettings)).body[0].body  # type: ignore[attr-defined]
    found = {name: field.description for name, (_, field) in provider_fields().items()}
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


def sections() -> dict[str, list[str]]:
    """The fields of each section, both in the order of the code."""
    found: dict[str, list[str]] = {}
    for line in inspect.getsource(module).splitlines():
        section = SECTION.fullmatch(line)
        name = line.strip().partition(":")[0]
        if section:
            found[section[1]] = list(provider_fields()) if section[1] == PROVIDERS_SECTION else []
        elif line.startswith(f"    {name}:") and name in Settings.model_fields:
            found[list(found)[-1]].append(name)
    return found


def allowed(name: str) -> str:
    """The bounds in words, in brackets; empty without any."""
    known = bounds(name)
    words = [text.format(f"{known[key]:,}") for _, key, text in BOUNDS if key in known]
    return f" ({' '.join(words)})" if words else ""


def unit(name: str) -> str:
    """The unit that the name ends with; empty without any."""
    return next((word for end, word in UNITS.items() if name.endswith(end)), "")


def _settings_tables() -> Iterator[str]:
    known = descriptions()
    for section, names in sections().items():
        yield from ("", f"### {section}", "", *HEAD)
        yield from (_row(name, known.get(name, "")) for name in names)


def _row(name: str, meaning: str) -> str:
    field = Settings.model_fields[name]
    default = "*needed*" if field.is_required() else _shown(field.default, unit(name))
    return f"| `{name.upper()}` | {default} | {meaning.replace('|', '&#124;')}{allowed(name)} |"


def _shown(default: Any, of: str) -> str:
    if default is None or default == "":
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float):
        number = f"{default:g}" if default < GROUPED else f"{int(default):,}"
        return f"{number} {of}".rstrip()
    return f"`{default}`"


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def main() -> None:
    """Writes the page and the template of `.env`."""
    from factory.config.template import FILE, template  # noqa: PLC0415 - it is made of this module

    PAGE.write_text(page(PAGE.read_text()))
    FILE.write_text(template())


if __name__ == "__main__":
    main()
