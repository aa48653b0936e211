"""The site: MkDocs Material, strict."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.docs.reference.api import document
from deploy.validate.tools import Tools


def build(tools: Tools, source: Path, target: Path) -> str:
    """Builds the pages of `source`; a link, an anchor or a page of the navigation that is not there fails it."""
    # Not --quiet: warnings that are not printed do not count as such.
    command: list[str | Path] = [tools.python("mkdocs"), "build", "--strict", "--site-dir", target]
    tools.run(command, cwd=source, env={"NO_MKDOCS_2_WARNING": "true"})
    (target / "openapi.json").write_text(json.dumps(document(), indent=1))
    pages = len(list(target.rglob("index.html")))
    return f"{pages} pages in {target.name}/"
