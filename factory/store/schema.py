"""The schema's revision, read without Alembic, which would cost a gateway 13 MB."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from factory.errors import Misconfigured
from factory.store.database import Tx, rows

FILES = "versions/[0-9]*.py"


def newest_revision() -> str:
    """The revision that this code needs: the highest number that a file of migrations begins with."""
    spec = find_spec("migrations")
    place = Path(spec.origin).parent if spec and spec.origin else None
    numbers = [file.name.partition("_")[0] for file in place.glob(FILES)] if place else []
    if not numbers:
        raise Misconfigured("the package `migrations` is not installed whole: pip install .")
    return max(numbers)


def revision(tx: Tx) -> str | None:
    """The revision of the database, or None before its first migration."""
    if rows(tx, "SELECT to_regclass('alembic_version') IS NULL AS missing")[0].missing:
        return None
    found = rows(tx, "SELECT version_num FROM alembic_version")
    return str(found[0].version_num) if found else None
