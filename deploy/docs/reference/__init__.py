"""The pages that are made of the code. `python -m deploy.docs reference` writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.docs.reference import api, cli, errors, metrics

HEAD = "<!-- made by python -m deploy.docs reference -->\n"
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/api.md": api.page,
    "docs/reference/cli.md": cli.page,
    "docs/reference/errors.md": errors.page,
    "docs/reference/metrics.md": metrics.page,
}


def made(name: str) -> str:
    """The page as the code has it now."""
    return f"{HEAD}{PAGES[name]().rstrip()}\n"


def write(root: Path) -> None:
    """Writes all of them."""
    for name in PAGES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(name))
