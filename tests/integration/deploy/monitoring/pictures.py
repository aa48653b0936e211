"""`python -m tests.integration.deploy.monitoring.pictures`: draws the panels of docs/operations/monitoring.md.

Runs a platform under load for some minutes, with an outage and a killed worker in the middle, and draws what
Prometheus answers to each panel's queries: no Grafana is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import environment
from deploy.monitoring.grafana.board import Board, Panel
from deploy.monitoring.grafana.boards import BOARDS
from tests.integration.deploy.monitoring.load import MODELS, kill_a_busy_worker, loaded
from tests.integration.deploy.monitoring.rig import ROOT, Prometheus, running_rig
from tests.integration.pipeline.receiver import Receiver

CALM_S, OUTAGE_S, AFTER_S = 90.0, 60.0, 60.0
STEP_S = 2.0
SERIES = 8
"""Of a panel, those with the largest last values."""
BACKUPS = (("dump", "--unencrypted"), ("base", "--unencrypted"), ("verify",))
PLOTS = Path(__file__).with_name("plots.py")
PICTURES = ROOT / "docs/operations/monitoring"


def main() -> None:
    """Writes one picture a dashboard."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as directory:
        charts = _run(Path(directory))
    PICTURES.mkdir(parents=True, exist_ok=True)
    python = environment.python()
    subprocess.run([str(python), str(PLOTS)], input=json.dumps(charts), text=True, check=True)


def _run(directory: Path) -> list[dict[str, Any]]:
    with (
        running_rig(directory) as rig,
        Receiver() as receiver,
        loaded(rig.platform, receiver.url) as load,
    ):
        for words in BACKUPS:
            rig.platform.cli_json("backup", *words)
        started = time.time()
        time.sleep(CALM_S)
        load.outage = MODELS[2]
        kill_a_busy_worker(rig.platform)
        time.sleep(OUTAGE_S)
        load.outage = None
        time.sleep(AFTER_S)
        span = (started + 15, time.time())
        return [_chart(board, rig.prometheus, span) for board in BOARDS]


def _chart(board: Board, prometheus: Prometheus, span: tuple[float, float]) -> dict[str, Any]:
    graphs = [panel for panel in board.panels if not panel.number]
    panels = [_panel(panel, prometheus, span) for panel in graphs]
    return {
        "file": str(PICTURES / f"{board.uid}.png"),
        "title": board.title,
        "panels": [one for one in panels if one["series"]],
    }


def _panel(panel: Panel, prometheus: Prometheus, span: tuple[float, float]) -> dict[str, Any]:
    lines = []
    for query in panel.queries:
        for one in prometheus.series(query.expr, *span, STEP_S):
            points = [(at - span[0], float(value)) for at, value in one["values"]]
            lines.append({"name": _named(query.legend, one["metric"]), "points": points})
    lines.sort(key=lambda line: -line["points"][-1][1])
    return {"title": panel.title, "unit": panel.unit, "series": lines[:SERIES]}


def _named(legend: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    return legend


if __name__ == "__main__":
    sys.exit(main())
