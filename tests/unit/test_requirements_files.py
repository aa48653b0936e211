"""The pinned lists can be installed by any pip, also by one that does not see that an extra's package is pinned."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from deploy.requirements import with_bare_lines

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^([\w.-]+)(\[[^]]+\])?==(\S+)", re.MULTILINE)
ASKS = re.compile(r"^([\w.-]+)(\[[^]]+\])")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[tuple[str, str], str]:
    text = (ROOT / "requirements.txt").read_text()
    return {(normal(name), extra): version for name, extra, version in LINE.findall(text)}


def test_each_extra_that_a_package_asks_for_is_pinned_beside_the_package_itself() -> None:
    found = pinned()
    for name, _ in list(found):
        try:
            asked = [one for one in requires(name) or () if "extra ==" not in one]
        except PackageNotFoundError:
            continue
        for package, extra in (match.groups() for one in asked if (match := ASKS.match(one))):
            bare = found[(normal(package), "")]
            assert found.get((normal(package), extra)) == bare, f"{name} asks for {package}{extra}"


def test_a_line_with_an_extra_gets_one_without() -> None:
    line = "httpx[http2]==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nidna==2 \\\n    --hash=sha256:cc\n"
    bare = "httpx==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert with_bare_lines(line) == bare + line
    assert with_bare_lines("idna==2 \\\n    --hash=sha256:cc\n").startswith("idna")
