"""Which backups go, and which segments of the log are missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factory.backup.retention import old
from factory.backup.vault import Kind, Manifest
from factory.backup.wal import gaps
from factory.store.servers import name_beside

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def backup(age_days: int) -> Manifest:
    at = NOW - timedelta(days=age_days)
    return Manifest(f"dump-{age_days}", Kind.DUMP, at, at, "d", "u", 180006, "f", 1, "0")


def names(found: list[Manifest]) -> list[str]:
    return [one.name for one in found]


def test_backups_past_their_time_go() -> None:
    found = [backup(days) for days in (30, 20, 10, 1)]
    assert names(old(found, NOW - timedelta(days=14), None)) == ["dump-30", "dump-20"]


def test_the_newest_stays_however_old_and_the_newest_verified_too() -> None:
    found = [backup(days) for days in (90, 80, 70, 60)]
    assert names(old(found, NOW - timedelta(days=14), "dump-80")) == ["dump-90", "dump-70"]
    assert old([], NOW, None) == []


def test_a_log_without_gaps_has_none_across_logs_and_timelines() -> None:
    names = ["0000000100000000000000FE", "0000000100000000000000FF", "000000020000000100000000"]
    assert gaps(names, names[0]) == []
    assert gaps(names, names[2]) == []


def test_segments_of_another_size_have_gaps_of_their_own() -> None:
    names = ["00000001000000000000003E", "00000001000000000000003F", "000000010000000100000000"]
    assert gaps(names, names[0], 2**26) == []
    assert gaps(names, names[0]) == ["0000000000000040"]


def test_a_name_beside_another_is_never_the_same() -> None:
    for length in (1, 53, 54, 62, 63):
        beside = name_beside("n" * length, "_restoring")
        assert beside != "n" * length
        assert beside.endswith("_restoring")
        assert len(beside) <= 63
    assert len(name_beside("ü" * 31, "_restoring").encode()) <= 63


def test_a_gap_and_a_missing_begin_are_told() -> None:
    names = ["000000010000000000000001", "000000010000000000000004"]
    assert gaps(names, names[0]) == ["0000000000000002"]
    assert gaps(names[1:], names[0]) == ["000000010000000000000001"]
