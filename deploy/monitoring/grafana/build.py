"""`python -m deploy.monitoring.grafana.build [DIRECTORY]`: writes a JSON file for each dashboard.

Runs with the packages of deploy/validate/pins/grafana.txt. `make validate` tells when the files are not current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from deploy.monitoring.grafana.board import Board, Panel
from deploy.monitoring.grafana.boards import BOARDS

HERE = Path(__file__).with_name("dashboards")
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
HEIGHT, NUMBER_HEIGHT = 8, 4


def build(board: Board) -> str:
    """Its JSON, the same for the same board."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["agent-factory"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("utc")
        .editable()
    )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(_number(panel) if panel.number else _graph(panel))
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(made.build())}\n"


def _number(panel: Panel) -> Any:
    last = ReduceDataOptions().calcs(["lastNotNull"])
    made = stat.Panel().height(NUMBER_HEIGHT).reduce_options(last)
    return _with_queries(made, panel)


def _graph(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .height(HEIGHT)
        .min(0)
        .fill_opacity(25 if panel.stacked else 8)
        .show_points(VisibilityMode.NEVER)
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if panel.stacked:
        made = made.stacking(StackingConfig().mode(StackingMode.NORMAL))
    return _with_queries(made, panel)


def _with_queries(made: Any, panel: Panel) -> Any:
    made = made.title(panel.title).unit(panel.unit).span(panel.width).datasource(SOURCE)
    if panel.text:
        made = made.description(panel.text)
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + place))
        made = made.with_target(target.legend_format(query.legend) if query.legend else target)
    return made


def main() -> None:
    """Writes them all."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for board in BOARDS:
        (directory / f"{board.uid}.json").write_text(build(board))


if __name__ == "__main__":
    main()
