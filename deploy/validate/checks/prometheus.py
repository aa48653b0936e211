"""Prometheus' configuration, its rules with their unit tests, and the prober's modules."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from deploy.validate.tools import Invalid, Tools

FOLDER = Path("deploy/monitoring/prometheus")
MOUNTED = "/etc/prometheus"
KUBERNETES = "prometheus-kubernetes.yml"
RULES = ("alerts.yml", "recording.yml")
ROLES = ("node", "pod", "service", "endpoints", "endpointslice", "ingress")


def check(tools: Tools) -> None:
    """By promtool and the exporters' own check of their files."""
    promtool = tools.debian("promtool", "prometheus")
    blackbox = tools.debian("prometheus-blackbox-exporter")
    modules = tools.root / "deploy/monitoring/blackbox/blackbox.yml"
    tools.run([blackbox, "--config.check", f"--config.file={modules}"])
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        shutil.copytree(tools.root / FOLDER, place, dirs_exist_ok=True)
        for name in ("prometheus.yml", KUBERNETES):
            config = place / name
            config.write_text(config.read_text().replace(MOUNTED, directory))
        tools.run([promtool, "check", "config", place / "prometheus.yml"])
        _without_discovery(place / KUBERNETES)
        # The files of a service account are where pods are.
        tools.run([promtool, "check", "config", "--syntax-only", place / KUBERNETES])
        tools.run([promtool, "check", "rules", *(place / name for name in RULES)])
        tests = sorted((place / "tests").glob("*.yml"))
        if not tests:
            raise Invalid(f"{FOLDER}/tests has no test")
        tools.run([promtool, "test", "rules", *tests])


def _without_discovery(file: Path) -> None:
    """Debian's promtool is built without Kubernetes: its part is looked at here, and taken out."""
    config = yaml.safe_load(file.read_text())
    for scrape in config["scrape_configs"]:
        for one in scrape.pop("kubernetes_sd_configs", ()):
            _check_discovery(scrape["job_name"], one)
            scrape["static_configs"] = [{"targets": ["pod:9090"]}]
    file.write_text(yaml.safe_dump(config))


def _check_discovery(job: str, discovery: dict[str, Any]) -> None:
    if discovery.get("role") not in ROLES:
        raise Invalid(f"{KUBERNETES}: {job} has the role {discovery.get('role')!r}: use {ROLES}")
    if unknown := discovery.keys() - {"role", "namespaces", "selectors"}:
        raise Invalid(f"{KUBERNETES}: {job} has unknown words {sorted(unknown)}")
