"""Programs inside installed wheels, found without importing the package around them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from factory.errors import Misconfigured


def wheel_file(package: str, pattern: str, *, instead: str) -> Path:
    """The file that matches the glob inside `package`.

    Raises Misconfigured if it does not exist; `instead` is the variable to set in that case.
    """
    spec = find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        found = next(Path(place).glob(pattern), None)
        if found is not None:
            return found
    raise Misconfigured(
        f"The package {package} has no {pattern} for this machine: install it, or set {instead}.",
        param=instead,
    )
