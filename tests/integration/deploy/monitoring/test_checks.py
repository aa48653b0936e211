"""The checks of `make validate` pass, and each fails on an artefact that is broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.validate.checks import alertmanager, grafana, prometheus
from deploy.validate.tools import Invalid, Tools, Unavailable
from tests.integration.deploy.monitoring.rig import ROOT

MONITORING = Path("deploy/monitoring")
Check = Callable[[Tools], None]
BROKEN = [
    (prometheus.check, "prometheus/prometheus.yml", "scrape_configs", "scrape_konfigs"),
    (prometheus.check, "prometheus/prometheus-kubernetes.yml", "role: pod", "role: pot"),
    (prometheus.check, "prometheus/alerts.yml", "> 0.05\n", "> 0.5\n"),
    (prometheus.check, "prometheus/alerts.yml", "llm_daily_cost_dollars > 80", "sum( > 80"),
    (prometheus.check, "blackbox/blackbox.yml", "timeout: 10s", "timeout: ten"),
    (alertmanager.check, "alertmanager/alertmanager.yml", "receiver: slack\n", "receiver: slak\n"),
    (alertmanager.check, "alertmanager/alertmanager.yml", '"critical"', '"critcal"'),
    (grafana.check, "grafana/dashboards/agent-factory-jobs.json", '"Queued"', '"Quueed"'),
]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Over a copy of what is shipped; what is installed is shared."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (ROOT / ".tools").mkdir(exist_ok=True)
    (tmp_path / ".tools").symlink_to(ROOT / ".tools")
    return Tools(tmp_path)


def run(check: Check, tools: Tools) -> None:
    try:
        check(tools)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("check", [prometheus.check, alertmanager.check, grafana.check])
def test_what_is_shipped_is_valid(check: Check, tools: Tools) -> None:
    run(check, tools)


@pytest.mark.parametrize(("check", "name", "was", "becomes"), BROKEN)
def test_what_is_broken_is_found(
    tools: Tools, check: Check, name: str, was: str, becomes: str
) -> None:
    file = tools.root / MONITORING / name
    text = file.read_text()
    assert was in text
    file.write_text(text.replace(was, becomes))
    with pytest.raises(Invalid):
        run(check, tools)
