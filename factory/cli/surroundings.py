"""The environment of an installation's programs: resolved once, and the same for all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from factory.cli.output import complain
from factory.config import (
    Settings,
    consumed_names,
    resolve,
    setting_faults,
    weak_settings,
    without_placeholders,
)
from factory.config.faults import refuse
from factory.config.settings import GATEWAY_PROCESSES
from factory.env_file import VARIABLE, use_env_file

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
GUNICORNS = "WEB_CONCURRENCY"
WEAK = "ALLOW_WEAK_SETTINGS"


def platform_environment(variables: Mapping[str, str] = NO_VARIABLES) -> dict[str, str]:
    """The environment with its env file and with `variables`, which go first; empty ones are not set.

    An installation that runs its own Postgres is for trying out: what would be refused elsewhere as weak is
    warned of, and a placeholder counts as not set. Raises Misconfigured that lists all faults.
    """
    use_env_file(os.environ)
    found, faults = resolve({**os.environ, **variables})
    refuse(faults)
    if "DATABASE_URL" not in found:
        weak = weak_settings(found)
        for fault in weak:
            complain(f"warning: {fault}")
        found = {WEAK: "true", **without_placeholders(found, weak)}
    # Before any server starts. What is missing comes from the home.
    refuse([fault for fault in setting_faults(found) if not fault.missing])
    return found


def settings_overlay(found: Mapping[str, str]) -> dict[str, str]:
    """Variables that give this process' environment the settings of `found`. Programs do not read the env file again:
    each runs in a directory of its own.
    """
    names = {*map(str.upper, Settings.model_fields), *consumed_names()}
    given = {name: found.get(name, "") for name in names if name in found or name in os.environ}
    if given.get(GUNICORNS) == "":
        # Gunicorn reads it before any code of ours, and fails if it is not a number.
        given[GUNICORNS] = str(GATEWAY_PROCESSES)
    return {VARIABLE: "", **given}
