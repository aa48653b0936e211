"""`python -m deploy.kubernetes.rules`: makes the PrometheusRule of the component `monitoring` anew.

The rules are those of `deploy/monitoring/prometheus`: the operator reads no files.
"""

from __future__ import annotations

from pathlib import Path

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "monitoring/prometheus"
FILES = ("alerts.yml", "recording.yml")
TARGET = HERE / "components/monitoring/rules.yaml"
HEAD = "# Made by `python -m deploy.kubernetes.rules` of deploy/monitoring/prometheus.\n"


def rules() -> str:
    """The file's text."""
    groups = [
        group for name in FILES for group in yaml.safe_load((RULES / name).read_text())["groups"]
    ]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "agent-factory"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    TARGET.write_text(rules())
