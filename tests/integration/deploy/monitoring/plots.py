"""Draws panels with matplotlib, which lives in the benchmarks' environment. Reads the charts from stdin."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

COLUMNS = 3
PANEL_INCHES = (4.6, 2.6)
SHARE = "percentunit"
ROOM_FOR_NAMES = 1.4


def draw(chart: dict[str, Any]) -> None:
    """A grid of panels, as Grafana shows them."""
    panels = chart["panels"]
    rows = -(-len(panels) // COLUMNS)
    size = (PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * rows + 0.4)
    figure, grid = pyplot.subplots(rows, COLUMNS, squeeze=False, figsize=size, layout="constrained")
    figure.suptitle(chart["title"], fontsize=11)
    places = [axes for row in grid for axes in row]
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(places, panels, strict=False):
        _draw_panel(axes, panel)
    figure.savefig(chart["file"], dpi=80)
    pyplot.close(figure)


def _draw_panel(axes: Any, panel: dict[str, Any]) -> None:
    for line in panel["series"]:
        times, values = zip(*line["points"], strict=True)
        axes.plot(times, values, linewidth=1.1, label=line["name"])
    unit = "" if panel["unit"] in ("short", SHARE) else f"  [{panel['unit']}]"
    axes.set_title(panel["title"] + unit, fontsize=8, loc="left")
    if panel["unit"] == SHARE:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    highest = max(value for line in panel["series"] for _, value in line["points"])
    axes.set_ylim(0, ROOM_FOR_NAMES * highest or 1)
    axes.tick_params(labelsize=6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if any(line["name"] for line in panel["series"]):
        axes.legend(fontsize=5.5, frameon=False, ncols=2, loc="upper left")


if __name__ == "__main__":
    for chart in json.load(sys.stdin):
        draw(chart)
