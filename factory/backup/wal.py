"""The archive of the server's log: whether it is complete, what nobody needs any more, where a database was dropped."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from shlex import quote

from factory.backup.fetch import fetch, stored
from factory.backup.programs import Programs
from factory.backup.seal import IdentityFile
from factory.errors import Misconfigured, NotFound

SEGMENT = re.compile(r"[0-9A-F]{24}")
HISTORY = re.compile(r"[0-9A-F]{8}")
LOG_BYTES = 2**32
SEGMENT_BYTES = 2**24
"""The default size of segments (`initdb --wal-segsize`)."""
LEAST_SEGMENT_BYTES, MOST_SEGMENT_BYTES = 2**20, 2**30


def archive_command(directory: Path, recipient: str | None) -> str:
    """The shell command that Postgres runs for each segment."""
    script = files("factory.backup") / "archive-wal.sh"
    command = ["sh", literal(str(script)), literal(str(directory)), "%p", "%f"]
    return " ".join([*command, *([literal(recipient)] if recipient else [])])


def literal(word: str) -> str:
    """A literal word of a command in which Postgres replaces %p and %f before the shell runs it."""
    return quote(word).replace("%", "%%")


def segments(directory: Path) -> list[str]:
    """The names of what is archived, oldest first within each timeline. Raises Misconfigured if the directory cannot
    be read: taken for empty, it would restore less than there is.
    """
    try:
        names = {one.partition(".")[0] for one in os.listdir(directory)}
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = f"{directory}, the archived log, cannot be read: {error.strerror}"
        raise Misconfigured(reason, param="BACKUP_DIR") from None
    found = sorted(name for name in names if SEGMENT.fullmatch(name))
    return [name for name in found if stored(directory, name)]


def timeline_of(name: str) -> int:
    """The branch of the log that a segment, or a history, belongs to."""
    return int(name[:8], 16) if name else 1


def timelines(directory: Path) -> list[int]:
    """The timelines that have branched off: each begins with a history file."""
    names = {path.name.partition(".")[0] for path in directory.glob("????????.history*")}
    return sorted(timeline_of(name) for name in names if HISTORY.fullmatch(name))


def segment_bytes(directory: Path, names: Sequence[str]) -> int:
    """The size of the archived segments. It is a power of two, to which encryption adds little."""
    found = stored(directory, names[-1]) if names else None
    size = found.stat().st_size if found else 0
    fits = LEAST_SEGMENT_BYTES <= size < 2 * MOST_SEGMENT_BYTES
    return 1 << size.bit_length() - 1 if fits else SEGMENT_BYTES


def gaps(names: Sequence[str], start: str, size_bytes: int = SEGMENT_BYTES) -> list[str]:
    """The first segment that is missing after each one that is there, from `start` on."""
    needed = [name for name in names if name[8:] >= start[8:]]
    if needed and start not in needed and needed[0][8:] != start[8:]:
        return [start]
    have = {name[8:] for name in needed}
    following = [_next(name[8:], LOG_BYTES // size_bytes) for name in needed]
    return [one for one in dict.fromkeys(following) if one not in have and one < max(have)]


def _next(place: str, segments_of_log: int) -> str:
    number = int(place[:8], 16) * segments_of_log + int(place[8:], 16) + 1
    return f"{number // segments_of_log:08X}{number % segments_of_log:08X}"


def prune(directory: Path, keep_from: str) -> list[str]:
    """Removes segments before the one that the oldest kept base backup begins with, whatever their timeline."""
    old = [name for name in segments(directory) if name[8:] < keep_from[8:]]
    for name in old:
        for path in directory.glob(f"{name}*"):
            path.unlink(missing_ok=True)
    return old


DROP = re.compile(r"rmgr: Database\s.*\blsn: ([0-9A-F]+/[0-9A-F]+),.*desc: DROP dir ")


def last_drop(
    directory: Path,
    start: str,
    programs: Programs,
    identity: IdentityFile | None,
    timeline: int | None = None,
) -> str:
    """The position in the log at which the last dropped database's files were removed, from a segment on, and up to a
    timeline if one is named.

    Raises NotFound, Unavailable.
    """
    names = [name for name in segments(directory) if name[8:] >= start[8:]]
    names = [name for name in names if timeline is None or timeline_of(name) <= timeline]
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
    """What a segment records of databases. The tool reports an error for a last record that continues in the next
    segment.
    """
    command = [str(programs.path("pg_waldump")), "--rmgr=Database", str(segment)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
