"""logrotate reads its configuration: `logrotate --debug`, which rotates nothing."""

from __future__ import annotations

import os
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid

from deploy.validate.servers import room, with_places
from deploy.validate.tools import Invalid, Tools

OWNER = "su agent-factory agent-factory"
LOGS = "/var/log/agent-factory/"


def check(tools: Tools) -> None:
    """Raises Invalid, Unavailable."""
    with room() as directory:
        (directory / "logs").mkdir()
        config = render(tools.root / "deploy" / "logrotate" / "agent-factory", directory)
        check_config(tools, config, directory / "state")


def check_config(tools: Tools, config: Path, state: Path) -> None:
    """Raises Invalid, Unavailable. logrotate skips a line that it does not know, says so, and exits 0."""
    command: list[str | Path] = [tools.debian("logrotate"), "--debug", "--state", state, config]
    said = tools.run(["sh", "-c", '"$0" "$@" 2>&1', *command])
    if errors := [line for line in said.splitlines() if line.startswith("error:")]:
        raise Invalid("\n".join(errors))


def render(config: Path, directory: Path) -> Path:
    """The configuration for `directory/logs`, rotated as who runs this. Raises Invalid."""
    user, group = getpwuid(os.geteuid()).pw_name, getgrgid(os.getegid()).gr_name
    here = directory / "agent-factory"
    places = {OWNER: f"su {user} {group}", LOGS: f"{directory}/logs/"}
    here.write_text(with_places(config.read_text(), places))
    return here
