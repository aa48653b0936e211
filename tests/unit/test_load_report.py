"""What is made of Locust's figures, and when a load has failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.load.__main__ import main
from deploy.load.report import Report, read_report

HEAD = "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%\n"


def report_of(tmp_path: Path, *lines: str) -> Report:
    (tmp_path / "stats.csv").write_text(HEAD + "\n".join(lines))
    return read_report(tmp_path / "stats.csv", "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("line", "missed"),
    [
        (",Aggregated,10000,0,50,10,499,900", []),
        (",Aggregated,10000,9,50,10,20,30", []),
        (",Aggregated,10000,0,50,10,500,900", ["all: p95 500 ms, target 500"]),
        (",Aggregated,1000,1,50,10,20,30", ["all: 0.10% errors, target 0.1%"]),
        (
            ",Aggregated,0,0,0,N/A,N/A,N/A",
            ["all: no request was made", "all: 100.00% errors, target 0.1%"],
        ),
    ],
)
def test_a_target_is_missed_at_its_bound(tmp_path: Path, line: str, missed: list[str]) -> None:
    found = report_of(tmp_path, line)
    assert found.missed == missed
    assert found.reached is (not missed)


def test_one_slow_call_among_quick_ones_is_named(tmp_path: Path) -> None:
    lines = ("GET,GET /api/jobs,5,0,1,10,900,900", ",Aggregated,1000,0,50,10,20,900")
    found = report_of(tmp_path, *lines)
    assert found.missed == ["GET /api/jobs: p95 900 ms, target 500"]
    assert "| GET /api/jobs | 5 | 1 | 10 | 900 | 900 | 0.00% |" in found.markdown()
    assert "load: FAILED" in found.markdown()


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "0"),
        ("--rate", "-5"),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--users", "0"),
        ("--seconds", "0"),
        ("--seconds", "86400"),
        ("--requests", "0"),
        ("--requests", "1000000000"),
        ("--url", "staging", "--key", "none", "--model", "none"),
        ("--url", "https://staging.example.org"),
    ],
)
def test_a_load_without_measure_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        main(options)
