"""Alertmanager's configuration, and where alerts go by it."""

from __future__ import annotations

from pathlib import Path

from deploy.validate.tools import Tools

FILE = Path("deploy/monitoring/alertmanager/alertmanager.yml")
ROUTES = (
    (("alertname=HighCostAlert", "severity=warning"), "slack"),
    (("alertname=HighErrorRate", "severity=critical"), "slack-critical"),
    (("alertname=SomethingElse",), "slack"),
)
"""Labels of an alert, and who must hear of it."""


def check(tools: Tools) -> None:
    """By amtool."""
    amtool = tools.debian("amtool", "prometheus-alertmanager")
    file = tools.root / FILE
    tools.run([amtool, "check-config", file])
    for labels, receiver in ROUTES:
        options = [f"--config.file={file}", f"--verify.receivers={receiver}"]
        tools.run([amtool, "config", "routes", "test", *options, *labels])
