"""Every shell script that is shipped, by shellcheck."""

from __future__ import annotations

from deploy.validate.tools import Invalid, Tools

PLACES = ("deploy", "factory")


def check(tools: Tools) -> None:
    """Raises Invalid, Unavailable."""
    shellcheck = tools.debian("shellcheck")
    scripts = [path for place in PLACES for path in sorted((tools.root / place).rglob("*.sh"))]
    if not scripts:
        raise Invalid("there is no shell script: has the place moved?")
    tools.run([shellcheck, "--severity=style", *scripts])
