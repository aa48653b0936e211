"""The figures as people read them: a table in `performance.md`, and a plot a group of figures."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.peers.environment import python

PAGE = "performance.md"
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"
HEAD = ("| figure | ours | peer | ratio | goal | verdict | |", "|---|---:|---:|---:|---|---|---|")
LOG_FROM = 100
"""A panel whose numbers differ by this factor gets a logarithmic scale."""
PLOTS = Path(__file__).with_name("plots.py")


def write(figures: Sequence[Figure], directory: Path, *, others_stay: bool) -> None:
    """Puts the table between the markers of `directory`/performance.md, and plots into performance/.

    `others_stay`: the page keeps figures of before that are not among these.
    """
    page, plots = directory / PAGE, directory / Path(PAGE).stem
    plots.mkdir(exist_ok=True)
    if not others_stay:
        for plot in plots.glob("*.png"):
            plot.unlink()
    charts = list(_charts(figures, plots))
    subprocess.run([str(python()), str(PLOTS)], input=json.dumps(charts), text=True, check=True)
    images = [f"![{one.stem}]({plots.name}/{one.name})" for one in sorted(plots.glob("*.png"))]
    before = page.read_text()
    lines = table_lines(before) if others_stay else {}
    lines.update({figure.name: _line(figure) for figure in figures})
    block = "\n\n".join([_conditions(), "\n".join([*HEAD, *lines.values()]), *images])
    page.write_text(replaced(before, block))


def table_lines(page: str) -> dict[str, str]:
    """The lines of the figures that a page shows, by name."""
    shown = page.partition(BEGIN)[2].partition(END)[0].splitlines()
    lines = [line for line in shown if line.startswith("| ") and line not in HEAD]
    return {line.split("|")[1].strip(): line for line in lines}


def replaced(page: str, block: str) -> str:
    """The page with `block` between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"{PAGE} must hold the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def _line(figure: Figure) -> str:
    ratio = f"{figure.ratio:.3g}" if figure.ratio is not None else ""
    verdict = ("PASS" if figure.passed else "**FAIL**") if figure.goal else ""
    about = "; ".join(filter(None, [figure.peer_name and f"peer: {figure.peer_name}", figure.note]))
    ours, peer = _number(figure.ours, figure.unit), _number(figure.peer, figure.unit)
    goal = figure.goal.text() if figure.goal else ""
    return f"| {figure.name} | {ours} | {peer} | {ratio} | {goal} | {verdict} | {about} |"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{shown} {unit}"


def _charts(figures: Sequence[Figure], directory: Path) -> Iterator[dict[str, Any]]:
    """What `plots.py` draws: figures with a peer, a chart for each first word of their names."""
    beside = sorted((figure for figure in figures if figure.peer is not None), key=_group)
    for group, members in groupby(beside, _group):
        by_unit = groupby(sorted(members, key=lambda figure: figure.unit), lambda one: one.unit)
        yield {
            "file": str(directory.resolve() / f"{group}.png"),
            "title": group,
            "panels": [_panel(unit, list(those)) for unit, those in by_unit],
        }


def _group(figure: Figure) -> str:
    return figure.name.partition("_")[0]


def _panel(unit: str, figures: Sequence[Figure]) -> dict[str, Any]:
    bars = []
    for figure in figures:
        bars.append({"label": figure.name, "value": figure.ours, "whose": "ours"})
        bars.append({"label": figure.peer_name or "peer", "value": figure.peer, "whose": "peer"})
    positive = [bar["value"] for bar in bars if bar["value"]]
    log = bool(positive) and max(positive) >= LOG_FROM * min(positive)
    return {"unit": unit, "log": log, "bars": bars}


def _conditions() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cpu = found[1] if found else platform.machine()
    at = datetime.now(UTC).strftime("%Y-%m-%d")
    python_version = platform.python_version()
    return f"Measured {at} on {os.cpu_count()} cores ({cpu}), Python {python_version}."
