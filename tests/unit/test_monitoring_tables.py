"""Alert ↔ runbook ↔ unit test, metric ↔ panel: whoever adds one adds the others."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring.grafana.boards import BOARDS
from factory import metrics
from workers.exporter import COUNTERS, HISTOGRAM

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/monitoring/prometheus"
RUNBOOK = "docs/operations/alerts.md"
REQUIRED = {
    "HighErrorRate": "critical",
    "HighMemoryUsage": "warning",
    "DatabaseConnectionPoolExhausted": "critical",
    "LLMAPIHighLatency": "warning",
    "HighCostAlert": "warning",
}
SECTION = re.compile(r"^### (\w+)\n\n\*(\w+)\.\*", re.MULTILINE)


def rules() -> list[dict[str, Any]]:
    files = [
        yaml.safe_load((FOLDER / name).read_text()) for name in ("alerts.yml", "recording.yml")
    ]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def severities() -> dict[str, str]:
    return {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def test_the_alerts_of_the_guide_are_there_by_name_and_severity() -> None:
    assert severities().items() >= REQUIRED.items()
    [group] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    assert (group["name"], group["interval"]) == ("agent_factory_alerts", "30s")


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert dict(SECTION.findall((ROOT / RUNBOOK).read_text())) == severities()
    assert {name: rule["annotations"]["runbook_url"] for name, rule in alerts().items()} == {
        name: f"{RUNBOOK}#{name.lower()}" for name in alerts()
    }


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tested = defaultdict(set)
    for file in (FOLDER / "tests").glob("*.yml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for one in test["alert_rule_test"]:
                tested[one["alertname"]].add("fires" if one["exp_alerts"] else "silent")
    assert tested == {name: {"fires", "silent"} for name in alerts()}


def test_each_counter_and_gauge_has_a_panel_or_a_rule() -> None:
    """What the exporter computes besides is asked of it while it runs, in tests/integration/deploy/monitoring."""
    queries = [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]
    shown = " ".join([*queries, *(rule["expr"] for rule in rules())])
    names = {*COUNTERS, HISTOGRAM, *metrics.GATEWAY_GAUGES, metrics.HTTP_REQUESTS}
    assert {name for name in names | {metrics.HTTP_DURATION} if name not in shown} == set()


def test_the_dashboards_hold_the_queries_of_the_code() -> None:
    for board in BOARDS:
        file = FOLDER.parent / "grafana/dashboards" / f"{board.uid}.json"
        made = json.loads(file.read_text())
        shown = {
            target["expr"]
            for panel in made["panels"]
            for target in [*panel.get("targets", ()), *_below(panel)]
        }
        assert made["uid"] == board.uid
        assert shown == {query.expr for panel in board.panels for query in panel.queries}


def _below(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in row.get("panels", ()) for target in panel.get("targets", ())]
