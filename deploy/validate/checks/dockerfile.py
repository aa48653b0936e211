"""The Dockerfile, by hadolint and by our rules: pinned base, numeric user, nothing that builds in the end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.validate.tools import Invalid, Tools

FILE = "deploy/images/Dockerfile"
USER = "10001:10001"
VERSION = re.compile(r":[\w.-]*\d+\.\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64}")
BUILDS = re.compile(r"\b(apt-get|gcc|build-essential|pip3? install|-m pip .*\binstall)\b")
WANTED = ("HEALTHCHECK", "STOPSIGNAL", "LABEL org.opencontainers.image.", "CMD [")


def check(tools: Tools) -> None:
    """Raises Invalid with what hadolint says, or with the rule that is broken."""
    found = list(faults((tools.root / FILE).read_text()))
    if found:
        raise Invalid(f"{FILE}\n" + "\n".join(found))
    tools.run([tools.python("hadolint"), "--failure-threshold", "info", FILE])


def faults(text: str) -> Iterator[str]:
    """Where it breaks a rule of ours."""
    text = text.replace("\\\n", " ")
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        if not VERSION.search(base):
            yield f"{base}: no exact version and no digest"
    last = re.split(r"^FROM ", text, flags=re.MULTILINE)[-1]
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    if users[-1:] != [USER]:
        yield f"the last USER is not {USER}"
    if BUILDS.search(last):
        yield "the last stage installs or builds something"
    yield from (f"the last stage has no {word}" for word in WANTED if f"\n{word}" not in last)
    if "--only-binary=:all:" not in text or "--require-hashes" not in text:
        yield "its packages are not wheels alone, with hashes"
