"""Draws bar charts with matplotlib, which lives in the peers' environment.

Reads from stdin what `benchmarks.report` sends: a list of charts, each with its file, title and panels.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

COLOURS = {"ours": "#2563a8", "peer": "#b9bec5"}
BAR_INCHES = 0.3
PANEL_INCHES = 0.9
ROOM_FOR_NUMBERS = 1.22


def draw(chart: dict[str, Any]) -> None:
    """One panel a unit, one below the other, each as high as it has bars."""
    heights = [PANEL_INCHES + BAR_INCHES * len(panel["bars"]) for panel in chart["panels"]]
    figure, rows = pyplot.subplots(
        len(heights),
        squeeze=False,
        figsize=(8, sum(heights) + 0.3),
        height_ratios=heights,
        layout="constrained",
    )
    figure.suptitle(chart["title"], fontsize=11)
    for [axes], panel in zip(rows, chart["panels"], strict=True):
        _draw_panel(axes, panel)
    figure.savefig(chart["file"], dpi=110)
    pyplot.close(figure)


def _draw_panel(axes: Any, panel: dict[str, Any]) -> None:
    bars = panel["bars"]
    values = [bar["value"] for bar in bars]
    drawn = axes.barh(
        range(len(bars)), values, color=[COLOURS[bar["whose"]] for bar in bars], height=0.75
    )
    axes.set_yticks(range(len(bars)), [bar["label"] for bar in bars], fontsize=8)
    axes.invert_yaxis()
    axes.bar_label(drawn, [f"{value:,.4g}" for value in values], padding=3, fontsize=8)
    axes.set_xlabel(panel["unit"] + (" (log scale)" if panel["log"] else ""), fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if panel["log"]:
        positive = [value for value in values if value > 0]
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 3, max(positive) * 3)
    else:
        axes.set_xlim(0, max(max(values) * ROOM_FOR_NUMBERS, 1e-9))


if __name__ == "__main__":
    for chart in json.load(sys.stdin):
        draw(chart)
