"""The pages: a strict build, and every code block read by its own language's tool. `make docs` runs them as well."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deploy.docs.blocks import all_blocks
from deploy.docs.check import check_blocks
from deploy.docs.links import check_links
from deploy.docs.names import check_names
from deploy.docs.site import build
from deploy.validate.tools import Tools


def check(tools: Tools) -> None:
    """Builds the site aside."""
    check_links(tools.root)
    check_names(tools.root)
    check_blocks(tools, all_blocks(tools.root))
    with tempfile.TemporaryDirectory(prefix="factory-site-") as scratch:
        build(tools, tools.root, Path(scratch, "site"))
