"""The site: MkDocs Material, strict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from deploy.docs.reference.api import document
from deploy.validate.tools import PINS, Tools, Unavailable

SCRIPT = Path("assets", "mermaid.js")
"""What mkdocs.yml names: it draws the diagrams."""
MERMAID = Path("@mermaid-js", "tiny", "dist", "mermaid.tiny.js")
WITHOUT = "window.mermaid = {initialize() {}, render: () => new Promise(() => {})}\n"
"""Leaves the diagrams as text. Without any script the theme would fetch one from elsewhere."""


def build(tools: Tools, source: Path, target: Path) -> str:
    """Builds the pages of `source`; a link, an anchor or a page of the navigation that is not there fails it."""
    # Not --quiet: strict mode counts only the warnings that are printed.
    command: list[str | Path] = [tools.python("mkdocs"), "build", "--strict", "--site-dir", target]
    tools.run(command, cwd=source, env={"NO_MKDOCS_2_WARNING": "true"})
    (target / "openapi.json").write_text(json.dumps(document(), indent=1))
    pages = len(list(target.rglob("index.html")))
    return f"{pages} pages in {target.name}/, {_add_script(tools, target / SCRIPT)}"


def _add_script(tools: Tools, target: Path) -> str:
    try:
        shutil.copy(tools.npm(PINS / "mermaid") / MERMAID, target)
    except Unavailable as reason:
        target.write_text(WITHOUT)
        return f"diagrams as text: {reason}"
    return "diagrams drawn"
