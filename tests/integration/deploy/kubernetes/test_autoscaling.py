"""KEDA's queries, asked of a real Postgres: backlog and age decide how many workers there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg2
import pytest

from factory.domain.lanes import UNUSUAL, Priority, all_lanes, lanes_of, parse_lanes
from factory.services import Services
from tests.integration.deploy.kubernetes.cluster import Cluster
from tests.integration.store.samples import claim_one, given_job, given_jobs, tell

GROUPS = {
    "openai": ["openai"],
    "anthropic": ["anthropic"],
    "gemini": ["gemini"],
    "ollama": ["ollama"],
    "general": ["local", "search", "webhook", "other", *UNUSUAL],
}


def triggers(cluster: Cluster, name: str) -> Mapping[str, Mapping[str, Any]]:
    found = cluster.one("ScaledObject", f"agent-factory-worker-{name}")
    return {one["name"]: one for one in found["spec"]["triggers"]}


def asked(services: Services, cluster: Cluster, name: str, trigger: str) -> int:
    query = triggers(cluster, name)[trigger]["metadata"]["query"]
    with psycopg2.connect(services.settings.libpq_url) as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        [(value,)] = cursor.fetchall()
    assert isinstance(value, int), "KEDA reads one number"
    return value


def test_backlog_is_what_is_due_or_in_flight(services: Services, production: Cluster) -> None:
    assert asked(services, production, "openai", "backlog") == 0
    for priority in Priority:
        given_job(services, priority=priority)
    claim_one(services, given_job(services))
    published = given_job(services)
    tell(services, "UPDATE jobs SET published_at = now() WHERE id = %(id)s", id=str(published))
    waits = given_job(services)
    tell(
        services,
        "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = %(id)s",
        id=str(waits),
    )
    assert asked(services, production, "openai", "backlog") == 6
    assert asked(services, production, "anthropic", "backlog") == 0


def test_age_is_that_of_the_oldest_due_job(services: Services, production: Cluster) -> None:
    assert asked(services, production, "openai", "age") == 0
    old, waits = given_jobs(services, 2)
    tell(
        services, "UPDATE jobs SET run_at = now() - interval '90 s' WHERE id = %(id)s", id=str(old)
    )
    tell(
        services,
        "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = %(id)s",
        id=str(waits),
    )
    assert 90 <= asked(services, production, "openai", "age") < 150


@pytest.mark.parametrize("name", GROUPS)
def test_each_counts_the_lanes_that_its_workers_serve(production: Cluster, name: str) -> None:
    pod = production.pod(f"agent-factory-worker-{name}")
    served = parse_lanes(pod.command[pod.command.index("--lanes") + 1])
    assert set(served) == {lane for group in GROUPS[name] for lane in lanes_of(group)}
    for trigger in triggers(production, name).values():
        query = trigger["metadata"]["query"]
        assert {lane for lane in all_lanes() if f"'{lane}'" in query} == set(served)
        assert query.count("'") == 2 * query.count("lane IN") * len(served) + 2 * query.count(
            "state = '"
        )


@pytest.mark.parametrize("name", GROUPS)
def test_what_is_counted_is_enough_for_the_most_workers(production: Cluster, name: str) -> None:
    spec = production.one("ScaledObject", f"agent-factory-worker-{name}")["spec"]
    backlog = triggers(production, name)["backlog"]
    target = int(backlog["metadata"]["targetQueryValue"])
    assert spec["maxReplicaCount"] * target <= 2000, "the LIMIT of the query"
    assert backlog["metricType"] == "AverageValue"
    assert triggers(production, name)["age"]["metricType"] == "Value", "an age is not shared"


def test_triggers_reach_the_database_of_the_settings(production: Cluster) -> None:
    config = production.config()
    service = f"{config['DATABASE_HOST']}.agent-factory.svc.cluster.local"
    for scaled in production.all("ScaledObject"):
        assert production.one("Deployment", scaled["spec"]["scaleTargetRef"]["name"])
        for trigger in scaled["spec"]["triggers"]:
            given = trigger["metadata"]
            assert (given["host"], given["port"]) == (service, "5432")
            assert given["userName"] == config["DATABASE_USER"]
            assert given["dbName"] == config["DATABASE_NAME"]
            assert production.one("TriggerAuthentication", trigger["authenticationRef"]["name"])


def test_only_the_scaler_says_how_many_there_are(production: Cluster) -> None:
    for scaled in production.all("ScaledObject"):
        name = scaled["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in production.one("Deployment", name)["spec"]
