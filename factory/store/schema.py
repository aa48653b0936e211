"""Which revision the schema has, read without Alembic: that costs 13 MB, which a gateway can save."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from factory.errors import Misconfigured
from factory.store.database import Tx, rows


def newest_revision() -> str:
    """The revision that this code needs. The files of migrations begin with theirs, and they count up."""
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise Misconfigured("the package `migrations` is not installed: pip install .")
    files = Path(spec.origin).parent.glob("versions/[0-9]*.py")
    return max(file.name.partition("_")[0] for file in files)


def revision(tx: Tx) -> str | None:
    """The revision of the database, or None before its first migration."""
    if rows(tx, "SELECT to_regclass('alembic_version') IS NULL AS missing")[0].missing:
        return None
    found = rows(tx, "SELECT version_num FROM alembic_version")
    return str(found[0].version_num) if found else None
