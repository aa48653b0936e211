"""`python picture.py HISTORY.csv FILE.png`: how fast answers were over time. Runs in Locust's environment."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

TARGET_P95_MS = 500.0
NONE = float("nan")
SHARES = ("50%", "95%", "99%")


def main(history: str, file: str) -> None:
    """Latency above, requests and failures a second below."""
    lines = [line for line in _read(Path(history)) if line["Name"] == "Aggregated"]
    start = float(lines[0]["Timestamp"]) if lines else 0.0
    seconds = [float(line["Timestamp"]) - start for line in lines]
    figure, (above, below) = pyplot.subplots(
        2, sharex=True, figsize=(8, 5), height_ratios=(2, 1), layout="constrained"
    )
    for share in SHARES:
        values = [_number(line[share]) or NONE for line in lines]
        above.plot(seconds, values, label=f"p{share[:-1]}")
    above.axhline(TARGET_P95_MS, linestyle=":", color="grey", label="target of p95")
    above.set(ylabel="ms", ylim=(0, None), title="Answers of the gateway under load")
    below.plot(seconds, [_number(line["Requests/s"]) for line in lines], label="requests")
    below.plot(seconds, [_number(line["Failures/s"]) for line in lines], label="failures")
    below.set(xlabel="seconds", ylabel="per s")
    for axes in (above, below):
        axes.legend(fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


def _read(history: Path) -> list[dict[str, Any]]:
    with history.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float:
    """Locust says N/A before the first answer."""
    return NONE if text in ("", "N/A") else float(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
