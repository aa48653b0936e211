"""Every panel and every alert's metric, asked of a real Prometheus that scrapes a platform under load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.grafana.boards import BOARDS
from deploy.validate.tools import Unavailable
from tests.acceptance.stack import eventually
from tests.integration.deploy.monitoring.load import MODELS, kill_a_busy_worker, loaded
from tests.integration.deploy.monitoring.rig import MONITORING, Rig, running_rig
from tests.integration.pipeline.receiver import Receiver

OUTAGE = MODELS[2]
EMPTY_HERE = {
    "container_": "of a kubelet: needs a cluster",
    "pg_replication_lag": "of a standby: the rig has one server",
}
"""What the start of a metric's name is, and why its panels are empty in this rig."""
NOT_SHOWN = {
    "http_request_duration_seconds": "by its buckets",
    "llm_request_duration_seconds": "by its buckets",
}
METRIC = re.compile(
    r"(?<![:\w])(?:http|llm|queue|jobs|workers|worker|dispatch|leases|database|factory|pg|redis|node|probe)"
    r"_\w+"
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Under load, with a provider that is away and a worker that was killed."""
    try:
        with (
            running_rig(tmp_path_factory.mktemp("monitoring")) as made,
            Receiver() as receiver,
            loaded(made.platform, receiver.url) as load,
        ):
            prometheus = made.prometheus
            eventually(lambda: prometheus.value("sum(jobs_finished_total)") > 30)
            load.outage = OUTAGE
            kill_a_busy_worker(made.platform)
            yield made
    except Unavailable as reason:
        pytest.skip(str(reason))


def _exprs() -> list[str]:
    return [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]


def _is_empty_here(expr: str) -> bool:
    return any(re.search(rf"\b{start}", expr) for start in EMPTY_HERE)


def _rules() -> list[str]:
    files = [
        yaml.safe_load((MONITORING / "prometheus" / name).read_text())
        for name in ("alerts.yml", "recording.yml")
    ]
    return [rule["expr"] for file in files for group in file["groups"] for rule in group["rules"]]


def test_each_query_of_each_panel_finds_something(rig: Rig) -> None:
    wanted = {expr for expr in _exprs() if not _is_empty_here(expr)}

    def empty() -> set[str]:
        return {expr for expr in wanted if not rig.prometheus.query(expr)}

    eventually(lambda: not empty() or None) if empty() else None
    assert empty() == set()


def test_what_is_listed_as_empty_is_named_by_a_panel_and_empty(rig: Rig) -> None:
    listed = {expr for expr in _exprs() if _is_empty_here(expr)}
    assert [s for s in EMPTY_HERE if not any(re.search(rf"\b{s}", e) for e in listed)] == []
    assert {expr for expr in listed if rig.prometheus.query(expr)} == set()


def test_each_metric_of_the_platform_has_a_panel(rig: Rig) -> None:
    shown = " ".join([*_exprs(), *_rules()])
    found = rig.prometheus.names("agent-factory") | rig.prometheus.names("exporter")
    ours = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in found
        if not name.startswith(("scrape_", "ALERTS"))
    }
    assert {name for name in ours if name not in shown and name not in NOT_SHOWN} == set()


def test_each_metric_that_a_rule_reads_is_there(rig: Rig) -> None:
    names = {name for expr in _rules() for name in METRIC.findall(expr)}
    wanted = {name for name in names if not _is_empty_here(name)}
    eventually(lambda: all(rig.prometheus.query(name) for name in wanted))


def test_an_outage_and_a_death_are_seen(rig: Rig) -> None:
    prometheus = rig.prometheus
    provider = OUTAGE.partition("/")[0]
    fails = f'provider:llm_request_failures:ratio_rate5m{{provider="{provider}"}}'
    eventually(lambda: prometheus.value(fails) > 0.2)
    eventually(lambda: prometheus.value("leases_expired_total") > 0)


def test_the_exporters_are_scraped_by_the_names_of_the_guide(rig: Rig) -> None:
    assert {"agent-factory", "postgres", "redis"} <= set(rig.prometheus.targets())
    # They have a second for each answer, and a busy machine may take more.
    eventually(lambda: set(rig.prometheus.targets().values()) == {"up"})


def test_the_shipped_configuration_names_the_targets_of_the_guide() -> None:
    text = Path(MONITORING / "prometheus/prometheus.yml").read_text()
    config = yaml.safe_load(text)
    assert config["global"]["scrape_interval"] == "15s"
    assert "/etc/prometheus/alerts.yml" in config["rule_files"]
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    [gateways] = jobs["agent-factory"]["dns_sd_configs"]
    assert (gateways["names"], gateways["port"]) == (["agent-factory"], 9090)
    static = {
        name: one["static_configs"][0]["targets"]
        for name, one in jobs.items()
        if "static_configs" in one
    }
    assert static["postgres"] == ["postgres-exporter:9187"]
    assert static["redis"] == ["redis-exporter:9121"]
    assert config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [
        "alertmanager:9093"
    ]
