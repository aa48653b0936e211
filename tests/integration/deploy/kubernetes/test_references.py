"""Every name is followed from where it is used to where it is made: a dangling one fails in a cluster only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from factory.domain.lanes import PROVIDERS, all_lanes, parse_lanes
from tests.integration.deploy.kubernetes.cluster import Cluster, Pod, selects

INTERNET = "0.0.0.0/0"
CALLERS = {"gateway", "dispatcher", "worker", "exporter", "migrate", "maintenance", "backup"}
REDIS_PORT, POSTGRES_PORT = 6379, 5432


def test_workloads_select_their_own_pods(cluster: Cluster) -> None:
    for pod in cluster.pods():
        selector = pod.owner["spec"].get("selector")
        if selector:
            assert selects(selector, pod.labels), pod.name
            found = [one.name for one in cluster.pods() if selects(selector, one.labels)]
            assert found == [pod.name], "two workloads would fight for the same pods"


def test_services_lead_to_ports_of_pods(cluster: Cluster) -> None:
    for service in cluster.all("Service"):
        pods = [
            pod
            for pod in cluster.pods()
            if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
        ]
        assert len(pods) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert pods[0].port(port["targetPort"])


def test_probes_ask_at_ports_that_the_container_has(cluster: Cluster) -> None:
    for pod in cluster.pods():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            found = pod.container.get(probe, {})
            for way in ("httpGet", "tcpSocket"):
                assert way not in found or pod.port(found[way]["port"])


def test_what_runs_on_is_probed(cluster: Cluster) -> None:
    for pod in cluster.pods():
        runs_on = pod.owner["kind"] in ("Deployment", "StatefulSet")
        assert runs_on == ({"livenessProbe", "readinessProbe"} <= pod.container.keys()), pod.name


def test_the_ingress_leads_to_a_service(cluster: Cluster) -> None:
    for ingress in cluster.all("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                ports = cluster.one("Service", to["name"])["spec"]["ports"]
                assert to["port"]["name"] in [port["name"] for port in ports]


def test_servers_of_the_settings_are_services(cluster: Cluster) -> None:
    config = cluster.config()
    for name in ("DATABASE_HOST", "REDIS_HOST"):
        assert cluster.one("Service", config[name])


def test_volumes_are_made_and_mounted(cluster: Cluster) -> None:
    for pod in cluster.pods():
        claims = pod.owner["spec"].get("volumeClaimTemplates", ())
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        names = {*volumes, *(one["metadata"]["name"] for one in claims)}
        mounted = {one["name"] for one in pod.container.get("volumeMounts", ())}
        assert mounted == names, pod.name
        for volume in volumes.values():
            if "configMap" in volume:
                assert cluster.one("ConfigMap", volume["configMap"]["name"])
            if "persistentVolumeClaim" in volume:
                assert cluster.one(
                    "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
                )


def test_files_of_config_maps_are_those_that_commands_name(cluster: Cluster) -> None:
    assert cluster.generated("postgres-conf")["data"].keys() == {"postgresql.conf", "local.conf"}
    assert cluster.generated("postgres-init")["data"].keys() == {"init.sh"}
    assert cluster.generated("redis-broker-conf")["data"].keys() == {"redis.conf"}


def test_accounts_are_made_and_have_no_token(cluster: Cluster) -> None:
    for pod in cluster.pods():
        assert cluster.one("ServiceAccount", pod.spec["serviceAccountName"])
        assert pod.spec["automountServiceAccountToken"] is False


def test_what_may_be_disrupted_is_told_for_all_that_come_in_numbers(production: Cluster) -> None:
    budgets = production.all("PodDisruptionBudget")
    for pod in production.pods():
        if pod.owner["kind"] == "Deployment" and pod.component in (
            "gateway",
            "dispatcher",
            "worker",
        ):
            [found] = [one for one in budgets if selects(one["spec"]["selector"], pod.labels)]
            assert found["spec"].keys() & {"minAvailable", "maxUnavailable"}


def test_every_lane_is_served_by_one_deployment(cluster: Cluster) -> None:
    served = [
        lane
        for pod in cluster.pods()
        if pod.component == "worker"
        for lane in parse_lanes(pod.command[pod.command.index("--lanes") + 1])
    ]
    assert sorted(served) == sorted(all_lanes())


def test_each_provider_has_a_deployment_of_its_own(cluster: Cluster) -> None:
    for provider in PROVIDERS[:4]:
        assert cluster.one("Deployment", f"agent-factory-worker-{provider}")


def test_cron_jobs_and_the_others_have_one_shape(cluster: Cluster) -> None:
    pods = [pod for pod in cluster.pods() if pod.of_platform]
    for pod in pods:
        assert pod.spec["securityContext"] == pods[0].spec["securityContext"], pod.name
        assert pod.container["securityContext"] == pods[0].container["securityContext"], pod.name
        assert pod.container["envFrom"] == pods[0].container["envFrom"], pod.name
        assert pod.container["image"] == pods[0].container["image"], pod.name


# The network


def test_nothing_is_allowed_by_default(cluster: Cluster) -> None:
    default = cluster.one("NetworkPolicy", "default-deny")["spec"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize(("server", "port"), [("postgres", POSTGRES_PORT), ("redis", REDIS_PORT)])
def test_programs_reach_the_servers_and_others_do_not(
    cluster: Cluster, server: str, port: int
) -> None:
    to = cluster.pod(server)
    reach = {pod.component for pod in cluster.pods() if _reaches(cluster, pod, to, port)}
    exporters = {f"{server}-exporter"} & {pod.component for pod in cluster.pods()}
    assert reach == CALLERS | exporters


def test_nobody_reaches_the_gateway_from_within_but_who_is_labelled(cluster: Cluster) -> None:
    gateway = cluster.pod("agent-factory")
    for port in (8000, 9090):
        assert not [pod for pod in cluster.pods() if _reaches(cluster, pod, gateway, port)]
    allowed = {
        (port, key)
        for rule in _rules(cluster, gateway, "ingress")
        for peer in rule["from"]
        for port in _ports(rule)
        for key in peer["namespaceSelector"]["matchLabels"]
    }
    assert allowed == {(8000, "agent-factory/ingress"), (9090, "agent-factory/monitoring")}


def test_workers_alone_reach_the_internet_and_never_a_private_address(cluster: Cluster) -> None:
    outside = {}
    for pod in cluster.pods():
        for rule in _rules(cluster, pod, "egress"):
            for block in (peer["ipBlock"] for peer in rule.get("to", ()) if "ipBlock" in peer):
                outside.setdefault(pod.component, []).append(block)
    assert outside.keys() == {"worker"}
    for block in outside["worker"]:
        if block["cidr"] == INTERNET:
            assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"} <= set(block["except"])


def test_only_those_who_send_webhooks_reach_every_port(cluster: Cluster) -> None:
    wide = {
        pod.name
        for pod in cluster.pods()
        for rule in _rules(cluster, pod, "egress")
        if any("endPort" in port for port in rule.get("ports", ()))
    }
    assert wide == {"agent-factory-worker-general"}
    lanes = parse_lanes(_lanes(cluster.pod("agent-factory-worker-general")))
    assert "webhook.normal" in lanes


def test_everybody_may_ask_for_names(cluster: Cluster) -> None:
    for pod in cluster.pods():
        assert any(53 in _ports(rule) for rule in _rules(cluster, pod, "egress"))


def _lanes(pod: Pod) -> str:
    return str(pod.command[pod.command.index("--lanes") + 1])


def _rules(cluster: Cluster, pod: Pod, way: str) -> Iterator[dict]:  # type: ignore[type-arg]
    for policy in cluster.all("NetworkPolicy"):
        if selects(policy["spec"]["podSelector"], pod.labels):
            yield from policy["spec"].get(way, ())


def _ports(rule: dict) -> list[int]:  # type: ignore[type-arg]
    return [port["port"] for port in rule.get("ports", ())]


def _reaches(cluster: Cluster, pod: Pod, to: Pod, port: int) -> bool:
    """Both ends must allow it."""
    return _names(cluster, pod, "egress", "to", to, port) and _names(
        cluster, to, "ingress", "from", pod, port
    )


def _names(cluster: Cluster, pod: Pod, way: str, peers: str, other: Pod, port: int) -> bool:
    return any(
        port in _ports(rule) and selects(peer["podSelector"], other.labels)
        for rule in _rules(cluster, pod, way)
        for peer in rule.get(peers, ())
        if "podSelector" in peer
    )
