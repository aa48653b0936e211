"""The component `monitoring` brings the rules, dashboards and queries of `deploy/monitoring`, and scrapes every pod."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from deploy.kubernetes.rules import TARGET, rules
from tests.integration.deploy.kubernetes.cluster import Cluster, selects

MONITORING = Path(__file__).parents[4] / "deploy/monitoring"


def test_the_operators_rules_are_those_of_prometheus(production: Cluster) -> None:
    assert TARGET.read_text() == rules(), "run: python -m deploy.kubernetes.rules"
    [rule] = production.all("PrometheusRule")
    alerts = {one.get("alert") for group in rule["spec"]["groups"] for one in group["rules"]}
    assert {"HighErrorRate", "HighCostAlert"} <= alerts


def test_every_dashboard_is_given_to_grafana(production: Cluster) -> None:
    boards = production.one("ConfigMap", "agent-factory-dashboards")
    files = {file.name: file.read_text() for file in MONITORING.glob("grafana/dashboards/*.json")}
    assert boards["data"] == files
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_exporter_of_postgres_asks_its_own_queries(production: Cluster) -> None:
    queries = production.generated("postgres-exporter-queries")["data"]["queries.yml"]
    assert queries == (MONITORING / "postgres-exporter/queries.yml").read_text()
    container = production.pod("postgres-exporter").container
    [path] = [one["value"] for one in container["env"] if one["name"].endswith("QUERY_PATH")]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert path == f"{mounts['queries']}/queries.yml"


def test_every_pod_with_metrics_is_scraped_once(production: Cluster) -> None:
    """By the operator through Services, and by annotations without it: the same ports."""
    [monitor] = production.all("ServiceMonitor")
    services = [
        one
        for one in production.all("Service")
        if selects(monitor["spec"]["selector"], one["metadata"]["labels"])
    ]
    for pod in production.pods():
        told = pod.template["metadata"].get("annotations", {}).get("prometheus.io/port")
        scraped = [
            pod.port(service["spec"]["ports"][0]["targetPort"])
            for service in services
            if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
        ]
        assert scraped == ([int(told)] if told else []), pod.name


def test_jobs_have_the_names_that_rules_and_dashboards_ask_for(production: Cluster) -> None:
    """As beside compose; a Prometheus without the operator renames them by the same rules."""
    told = {
        pod.component for pod in production.pods() if pod.template["metadata"].get("annotations")
    }
    [monitor] = production.all("ServiceMonitor")
    renaming = [
        (one["regex"], one["replacement"])
        for one in monitor["spec"]["endpoints"][0]["relabelings"]
        if one["targetLabel"] == "job" and "regex" in one
    ]
    compose = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    named = {one["job_name"] for one in compose["scrape_configs"]}
    assert {_renamed(component, renaming) for component in told} <= named
    assert set(re.findall(r'job="([a-z-]+)"', rules())) <= named
    plain = yaml.safe_load((MONITORING / "prometheus/prometheus-kubernetes.yml").read_text())
    assert renaming == [
        (one["regex"], one["replacement"])
        for one in plain["scrape_configs"][0]["relabel_configs"]
        if one.get("target_label") == "job" and "regex" in one
    ]


def _renamed(job: str, renaming: list[tuple[str, str]]) -> str:
    for pattern, replacement in renaming:
        if found := re.fullmatch(pattern, job):
            job = found.expand(replacement.replace("$", "\\"))
    return job
