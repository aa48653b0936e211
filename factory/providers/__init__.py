"""Providers whose calls we carry: what each is called, where it answers, how it says no. A file each.

Settings, lanes, the catalog, calls, failures, redaction, `factory doctor` and what is simulated are derived from
`PROVIDERS`, which finds the files. To add a provider: its file here, its simulator, its tests. The files hold
facts and import nothing of the platform, because everything else is above them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from factory.providers.provider import Provider

__all__ = ["BY_NAME", "PROVIDERS", "Provider"]


def _files() -> Iterator[Provider]:
    for module in iter_modules(__path__, f"{__name__}."):
        found = getattr(import_module(module.name), "PROVIDER", None)
        if isinstance(found, Provider):
            yield found


PROVIDERS = tuple(sorted(_files(), key=lambda one: (one.rank, one.name)))
"""In the order in which they are asked for a model that is named without its provider."""
BY_NAME = {one.name: one for one in PROVIDERS}
