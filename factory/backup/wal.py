"""The archive of the server's log: whether it is whole, what of it nobody needs, where a database was dropped."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from factory.backup.fetch import fetch, stored
from factory.backup.programs import Programs
from factory.backup.seal import IdentityFile
from factory.errors import NotFound

SEGMENT = re.compile(r"[0-9A-F]{24}")
SEGMENTS_OF_LOG = 256
"""With segments of 16 MB, as all servers have them that were not built or made otherwise."""


def segments(directory: Path) -> list[str]:
    """The names of what is archived, oldest first within each timeline."""
    names = {path.name.partition(".")[0] for path in directory.glob("*")}
    found = sorted(name for name in names if SEGMENT.fullmatch(name))
    return [name for name in found if stored(directory, name)]


def gaps(names: Sequence[str], start: str) -> list[str]:
    """The first segment that is missing after each one that is there, from `start` on."""
    needed = [name for name in names if name[8:] >= start[8:]]
    if needed and start not in needed and needed[0][8:] != start[8:]:
        return [start]
    have = {name[8:] for name in needed}
    following = [_next(name[8:]) for name in needed]
    return [one for one in dict.fromkeys(following) if one not in have and one < max(have)]


def _next(place: str) -> str:
    number = int(place[:8], 16) * SEGMENTS_OF_LOG + int(place[8:], 16) + 1
    return f"{number // SEGMENTS_OF_LOG:08X}{number % SEGMENTS_OF_LOG:08X}"


def prune(directory: Path, keep_from: str) -> list[str]:
    """Removes segments before the one that the oldest kept base backup begins with, whatever their timeline."""
    old = [name for name in segments(directory) if name[8:] < keep_from[8:]]
    for name in old:
        for path in directory.glob(f"{name}*"):
            path.unlink()
    return old


DROP = re.compile(r"rmgr: Database\s.*\blsn: ([0-9A-F]+/[0-9A-F]+),.*desc: DROP dir ")


def last_drop(
    directory: Path, start: str, programs: Programs, identity: IdentityFile | None
) -> str:
    """The position in the log at which the files of the last dropped database went, from a segment on.

    Raises NotFound, Unavailable.
    """
    names = [name for name in segments(directory) if name[8:] >= start[8:]]
    with tempfile.TemporaryDirectory(prefix="factory-wal-") as place:
        for name in reversed(names):
            found, copy = stored(directory, name), Path(place, name)
            assert found is not None
            fetch(found, directory / f"{name}.sha256", copy, identity)
            if drops := DROP.findall(_told(programs, copy)):
                return str(drops[-1])
            copy.unlink()
    raise NotFound(
        f"no DROP DATABASE is in {directory} from {start} on: has the server archived it? "
        "SELECT pg_switch_wal() makes it do so",
        param="--before-drop",
    )


def _told(programs: Programs, segment: Path) -> str:
    """All that a segment says of databases. A last record that goes on in the next segment is an error to the tool."""
    command = [str(programs.path("pg_waldump")), "--rmgr=Database", str(segment)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
