"""The version of a commit, by setuptools-scm: from its tag, or counted from the last one."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.validate.tools import Invalid, Tools

RELEASE = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?")
ASSIGNED = re.compile(r'^__version__ = "[^"]*"$', re.MULTILINE)
ASK = (
    "import sys; from setuptools_scm import get_version; "
    "print(get_version(root=sys.argv[1], tag_regex=r'^v(?P<version>\\d.*)$'))"
)


def version_of(tools: Tools, root: Path) -> str:
    """`1.2.3` at the tag `v1.2.3`, `1.2.4.dev5+gabc` five commits later, `0.1.dev9+gabc` where no tag is."""
    python = tools.python("release", "python")
    return tools.run([python, "-W", "ignore", "-c", ASK, root]).strip()


def is_release(version: str) -> bool:
    """Whether it is that of a tag."""
    return bool(RELEASE.fullmatch(version))


def stamp(source: Path, version: str) -> None:
    """Writes the version into the exported package, which says it in `--version`, `/docs` and its metadata."""
    path = source / "factory" / "__init__.py"
    text, count = ASSIGNED.subn(f'__version__ = "{version}"', path.read_text())
    if count != 1:
        raise Invalid(f"{path.name} assigns __version__ {count} times")
    path.write_text(text)
