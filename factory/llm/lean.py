"""Imports LiteLLM with less time and memory: its thousand Pydantic models are built on first use, if ever."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic._internal._config import config_defaults


@contextmanager
def lean_imports() -> Iterator[None]:
    """Models that are defined inside the block are built on first use, and the garbage collector is off meanwhile. An
    import makes many objects that stay and no garbage, so each collection would look at them in vain. Measured on
    litellm 1.105: 3.1 s and 190 MB without, 1.9 s and 170 MB with.
    """
    collects, builds_late = gc.isenabled(), config_defaults["defer_build"]
    gc.disable()
    config_defaults["defer_build"] = True
    try:
        yield
    finally:
        config_defaults["defer_build"] = builds_late
        gc.freeze()
        if collects:
            gc.enable()
