"""Prepares a worker for its first call: credentials and the proxy."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, MutableMapping

from factory.config import Settings
from factory.config.environment import plain
from factory.config.faults import placeholder, unsendable
from factory.domain.lanes import group_of
from factory.llm.endpoint import missing_keys
from factory.proxy import export_proxy

CREDENTIALS = re.compile(r"[A-Z0-9_]+_API_(KEY|BASE)")
"""Variables that LiteLLM reads for the providers whose calls it makes."""

log = logging.getLogger(__name__)


def prepare_calls(settings: Settings, lanes: Iterable[str]) -> None:
    """Cleans the variables that LiteLLM reads, and warns once of keys that are missing."""
    tidy_credentials(os.environ)
    export_proxy(settings, os.environ)
    served = {group_of(lane) for lane in lanes}
    lacking = {p: name for p, name in missing_keys(settings).items() if p in served}
    if lacking:
        named = ", ".join(f"{provider} ({name})" for provider, name in lacking.items())
        log.warning("no key for %s: jobs for it fail at once", named)


def tidy_credentials(environ: MutableMapping[str, str]) -> None:
    """Strips white space and quotes. Only warns of bad ones: they may be meant for other programs."""
    for name in filter(CREDENTIALS.fullmatch, list(environ)):
        environ[name] = plain(environ[name])
        reason = placeholder(environ[name]) or unsendable(environ[name])
        if reason:
            log.warning("%s %s", name, reason)
