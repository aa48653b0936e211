"""What Locust measured, and whether the targets were reached."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TARGET_P95_MS = 500.0
TARGET_ERRORS = 0.001
ALL = "Aggregated"


@dataclass(frozen=True, slots=True)
class Row:
    """A call of the API, or all of them together."""

    name: str
    requests: int
    failures: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def errors(self) -> float:
        return self.failures / self.requests if self.requests else 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """One load. `rows` ends with that of all calls together."""

    url: str
    rows: tuple[Row, ...]

    @property
    def missed(self) -> list[str]:
        """Each target that was missed, by the call that missed it."""
        found = []
        for row in self.rows:
            if not row.requests:
                found.append(f"{row.name}: no request was made")
            if row.p95_ms >= TARGET_P95_MS:
                found.append(f"{row.name}: p95 {row.p95_ms:g} ms, target {TARGET_P95_MS:g}")
            if row.errors >= TARGET_ERRORS:
                found.append(f"{row.name}: {row.errors:.2%} errors, target {TARGET_ERRORS:.1%}")
        return found

    @property
    def reached(self) -> bool:
        return not self.missed

    def document(self) -> dict[str, Any]:
        """As JSON."""
        rows = [{**asdict(row), "errors": round(row.errors, 6)} for row in self.rows]
        targets = {"p95_ms": TARGET_P95_MS, "errors": TARGET_ERRORS}
        return {
            "url": self.url,
            "targets": targets,
            "rows": rows,
            "missed": self.missed,
            "reached": self.reached,
        }

    def markdown(self) -> str:
        """As a table and a verdict."""
        lines = [
            f"# Load on {self.url}",
            "",
            "| call | requests | per s | p50 ms | p95 ms | p99 ms | errors |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(_cells(row) for row in self.rows),
            "",
            *(f"- missed: {one}" for one in self.missed),
            f"load: {'ok' if self.reached else 'FAILED'}, targets p95 < {TARGET_P95_MS:g} ms"
            f" and errors < {TARGET_ERRORS:.1%}",
        ]
        return "\n".join(lines)


def read_report(stats: Path, url: str) -> Report:
    """From what `locustfile.py` writes, in the form of Locust's own `stats.csv`."""
    with stats.open(newline="") as file:
        rows = tuple(_row(line) for line in csv.DictReader(file))
    return Report(url, rows)


def _row(line: dict[str, str]) -> Row:
    return Row(
        "all" if line["Name"] == ALL else line["Name"],
        int(line["Request Count"]),
        int(line["Failure Count"]),
        round(float(line["Requests/s"]), 2),
        *(_ms(line[share]) for share in ("50%", "95%", "99%")),
    )


def _ms(text: str) -> float:
    """Locust says N/A where nothing was measured."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _cells(row: Row) -> str:
    cells = (
        row.name,
        f"{row.requests:,}",
        f"{row.per_s:g}",
        *(f"{value:g}" for value in (row.p50_ms, row.p95_ms, row.p99_ms)),
        f"{row.errors:.2%}",
    )
    return f"| {' | '.join(cells)} |"
