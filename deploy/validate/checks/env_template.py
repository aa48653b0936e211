""".env.production: made of the code, and read alike by the platform and by compose."""

from __future__ import annotations

from deploy.validate.composition import compose
from deploy.validate.tools import Invalid, Tools
from factory.config.template import FILE, template
from factory.env_file import read_env_file


def check(tools: Tools) -> None:
    """Raises Invalid if it is not what the code makes, or if compose reads another value from it."""
    file = tools.root / FILE
    if file.read_text() != template():
        raise Invalid(f"{FILE} is not that of the code: python -m factory.config.reference")
    ours = read_env_file(file)
    theirs = dict(
        line.split("=", 1)
        for line in compose(tools, file, "config", "--environment").splitlines()
        if "=" in line
    )
    apart = sorted(name for name, value in ours.items() if theirs.get(name) != value)
    if apart:
        raise Invalid(f"{FILE}: compose reads {', '.join(apart)} otherwise than the platform")
