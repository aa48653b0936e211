"""Reads settings from the environment and reports all faults at once, not one failed call at a time."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from factory.config.environment import TRUE, resolve
from factory.config.faults import NEW_SECRET, Fault, WrongSettings, placeholder, refuse, weak_secret
from factory.config.mixups import mixups
from factory.config.settings import Settings
from factory.env_file import use_env_file
from factory.errors import Misconfigured

USAGE = 2
"""The exit status of a program with wrong settings."""
SIGNING = ("SECRET_KEY", "JWT_SECRET_KEY")
FREE_TEXT = ("SECRET_KEY_PREVIOUS", "JWT_SECRET_KEY_PREVIOUS", "EXTRA_MODELS", "NO_PROXY")
"""An earlier secret is not checked: it is in use."""
LIMITS = {
    "greater_than_equal": ("ge", "must be {} or more"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be {} or less"),
    "less_than": ("lt", "must be less than {}"),
    "literal_error": ("expected", "must be {}"),
}
KINDS = {
    "missing": "is not set",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
}
SHOWN = {*KINDS, *LIMITS} - {"missing"}
"""Pydantic's types of error that show the value: those of numbers, switches and choices."""
UNIT = re.compile(r"[-+]?[\d.]+\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)", re.I)
UNITS = {"s": "seconds", "ms": "milliseconds", "days": "days", "months": "months", "bytes": "bytes"}
INSTEAD = {"DATABASE_URL": "DATABASE_HOST", "REDIS_URL": "REDIS_HOST"}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from this process' environment and env file, or from `environ` alone.

    Raises Misconfigured, which names every wrong variable and how to fix it.
    """
    if environ is None:
        use_env_file(os.environ)
        environ = os.environ
    found, faults = resolve(environ)
    weak = weak_settings(found)
    if found.get("ALLOW_WEAK_SETTINGS", "").lower() in TRUE:
        found = without_placeholders(found, weak)
        weak = []
    given = {name: found[name.upper()] for name in Settings.model_fields if name.upper() in found}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        known = {fault.name for fault in (*faults, *weak)}
        malformed = (_fault(one, given) for one in error.errors())
        refuse([*faults, *weak, *(fault for fault in malformed if fault.name not in known)])
        raise
    refuse([*faults, *weak])
    return settings


def settings_or_exit(program: str) -> Settings:
    """For a program's start: what is wrong goes to stderr, in a few lines and without a traceback."""
    try:
        return load_settings()
    except Misconfigured as error:
        sys.stderr.write(f"{program}: {error.message}\n")
        sys.exit(USAGE)


def setting_faults(environ: Mapping[str, str]) -> Sequence[Fault]:
    """All that is wrong in `environ`; none where a program could start with it."""
    try:
        load_settings(environ)
    except WrongSettings as error:
        return error.faults
    return []


def weak_settings(found: Mapping[str, str]) -> list[Fault]:
    """Values of settings that are well-formed, but that nobody can have intended."""
    names = (name for name in map(str.upper, Settings.model_fields) if name in found)
    reasons = ((name, _weakness(name, found[name])) for name in names if name not in FREE_TEXT)
    faults = [Fault(name, reason, weak=True) for name, reason in reasons if reason]
    known = {fault.name for fault in faults}
    return [*faults, *(fault for fault in mixups(found) if fault.name not in known)]


def without_placeholders(found: Mapping[str, str], weak: Sequence[Fault]) -> dict[str, str]:
    """Where weak settings are allowed: a placeholder counts as not set; what is needed is taken as it is."""
    dropped = {fault.name for fault in weak if not _needed(fault.name)}
    return {name: value for name, value in found.items() if name not in dropped}


def _weakness(name: str, value: str) -> str | None:
    return weak_secret(value) if name in SIGNING else placeholder(value)


def _needed(name: str) -> bool:
    return Settings.model_fields[name.lower()].is_required()


def _fault(error: ErrorDetails, given: Mapping[str, str]) -> Fault:
    """Pydantic's finding in our words, with the value only if it cannot be a secret."""
    name = str(error["loc"][0])
    reason = _reason(error)
    value = given.get(name, "")
    if error["type"] in SHOWN:
        reason += f", not {value[:40]!r}"
    unit = next((word for end, word in UNITS.items() if name.endswith(f"_{end}")), None)
    if unit and UNIT.fullmatch(value):
        reason += f": write the number alone, in {unit}"
    return Fault(name.upper(), reason, missing=error["type"] == "missing")


def _reason(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing" and (part := INSTEAD.get(str(error["loc"][0]).upper())):
        return f"is not set, and neither is {part}"
    if kind == "string_too_short":
        return f"must have {context['min_length']} characters or more: {NEW_SECRET}"
    if kind in LIMITS:
        key, words = LIMITS[kind]
        return words.format(context[key])
    return KINDS.get(kind, "has a form that is not understood")
