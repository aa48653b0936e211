"""The dashboards are what the code makes, and each of their queries is PromQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from deploy.monitoring.grafana.boards import BOARDS
from deploy.validate.tools import Invalid, Tools

FOLDER = Path("deploy/monitoring/grafana")
PYTHON = "python"


def check(tools: Tools) -> None:
    """By the Foundation SDK, which knows the schema, and by promtool."""
    python = tools.python("grafana", PYTHON)
    promtool = tools.debian("promtool", "prometheus")
    with tempfile.TemporaryDirectory() as directory:
        tools.run([python, "-m", "deploy.monitoring.grafana.build", directory])
        made = {file.name: file.read_text() for file in Path(directory).glob("*.json")}
        kept = {
            file.name: file.read_text()
            for file in (tools.root / FOLDER / "dashboards").glob("*.json")
        }
        if changed := sorted(
            name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name)
        ):
            raise Invalid(
                f"{', '.join(changed)} is not what the code makes: run {python} -m "
                "deploy.monitoring.grafana.build"
            )
        rules = Path(directory) / "queries.yml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": _rules()}]}))
        tools.run([promtool, "check", "rules", "--lint=none", rules])


def _rules() -> list[dict[str, str]]:
    """Each query as a recording rule: what promtool can parse."""
    expressions = [
        query.expr.replace("$__rate_interval", "1m")
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    ]
    return [{"record": f"query:{place}", "expr": one} for place, one in enumerate(expressions)]
