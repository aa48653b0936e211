"""The providers that are played: a file each, found by what it calls `PLAYED`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from factory.simulator.provider import Provider


def _files() -> Iterator[Provider]:
    for module in iter_modules(__path__, f"{__name__}."):
        yield from import_module(module.name).PLAYED


PROVIDERS = tuple(_files())
