"""Postgres' restore_command: `python -m factory.backup.fetch DIRECTORY %f %p [IDENTITY_FILE]`.

Exits 1 for a segment that does not exist, which ends a recovery normally, and 200 for one that exists and cannot be
used, which stops the server: it must not go on without it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from factory.backup.seal import IdentityFile, pour
from factory.errors import FactoryError

MISSING, UNUSABLE = 1, 200
"""Above 125 recovery stops. https://www.postgresql.org/docs/current/runtime-config-wal.html"""


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    directory, name, target = Path(arguments[0]), arguments[1], Path(arguments[2])
    identity = IdentityFile(Path(arguments[3])) if len(arguments) > 3 else None
    found = stored(directory, name)
    if found is None:
        return MISSING
    try:
        fetch(found, directory / f"{name}.sha256", target, identity)
    except (FactoryError, OSError) as error:
        sys.stderr.write(f"fetch: {found}: {error}\n")
        return UNUSABLE
    return 0


def stored(directory: Path, name: str) -> Path | None:
    """The file of a segment, encrypted or not."""
    places = (directory / f"{name}.age", directory / name)
    return next((place for place in places if place.exists()), None)


def fetch(found: Path, mark: Path, target: Path, identity: IdentityFile | None) -> None:
    """Writes the segment to `target`, whole or not at all. Raises FactoryError, OSError."""
    new = target.with_name(f"{target.name}.new")
    with new.open("wb") as file:
        pour(found, file, identity)
    wanted = mark.read_text().strip() if mark.exists() else None
    if wanted and hashlib.sha256(new.read_bytes()).hexdigest() != wanted:
        raise OSError(f"its content is not that of {mark.name}: the archive is damaged")
    os.replace(new, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
