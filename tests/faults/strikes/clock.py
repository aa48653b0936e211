"""The clocks of a worker and of a dispatcher jump, forth and back, while all others go on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factory.domain.job import first_id
from factory.store.archive import EVERY_CALL
from tests.acceptance.stack import eventually
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene
from tests.faults.strikes.extra_program import extra_program, extra_worker

SETTLES_S = 5.0
AHEAD = f"SELECT count(*) FROM {EVERY_CALL} c WHERE id > %s::uuid"


def impossible() -> str:
    """Why clocks cannot jump here."""
    return "" if _library() else "Debian's package libfaketime is not installed"


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@contextmanager
def programs_with_own_clock(scene: Scene) -> Iterator[None]:
    """A third worker and a third dispatcher whose time is what a file says."""
    _set(scene, "+0")
    variables = {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(_file(scene)),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as when the time of day is set
    }
    with (
        extra_program(scene, "workers.dispatcher", **variables),
        extra_worker(scene, **variables) as scene.extra_pid,
    ):
        yield


def jump(scene: Scene) -> None:
    """An hour forth, then two back, then right again."""
    for offset in ("+3600", "-3600", "+0"):
        scene.running_worker_pid(among=[scene.extra_pid])
        scene.struck()
        _set(scene, offset)
        time.sleep(SETTLES_S)
        eventually(lambda: _calls_ahead(scene), LONG_S)


def verify(scene: Scene, _accepted: Sequence[Accepted]) -> Found:
    """The ids that a program makes tell its time: some calls were made an hour ahead of it."""
    return Found() if _calls_ahead(scene) else Found(complaints=("no clock has jumped",))


def _calls_ahead(scene: Scene) -> int:
    found = scene.answer(AHEAD, str(first_id(datetime.now(UTC) + timedelta(minutes=30))))
    return int(found[0][0])


def _set(scene: Scene, offset: str) -> None:
    _file(scene).write_text(offset)


def _file(scene: Scene) -> Path:
    return scene.stack.home / "faketime"
