"""`factory reset`: back to an empty installation."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from factory.cli.output import JsonOption, print_json, print_lines
from factory.embedded.home import Home, home_directory
from factory.errors import InvalidInput, NotFound


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the installation: jobs, keys, databases.

    It is the one in $FACTORY_HOME (.factory).

    What DATABASE_URL and REDIS_URL name is left alone. Stop `factory up` before.
    """
    directory = home_directory(os.environ)
    if not (directory / OWNER).exists():
        raise NotFound(f"there is no installation in {directory}", param="FACTORY_HOME")
    home = Home(directory)
    home.claim()
    try:
        if not yes and not typer.confirm(f"Remove {directory} with all jobs and keys in it?"):
            raise InvalidInput("nothing was removed; --yes does not ask", param="--yes")
        for path in directory.iterdir():
            if path.name != OWNER:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    finally:
        home.release()
    print_json({"removed": str(directory)}) if as_json else print_lines([f"{directory} is empty"])


OWNER = "owner.lock"
"""The lock file stays: a process that waits for it must not end up with the lock of a deleted file."""
