"""The names and numbers of the deployment guide, in what kubectl renders."""

from __future__ import annotations

import pytest

from tests.integration.deploy.kubernetes.cluster import Cluster, quantity

SIZES = {"postgres": "100Gi", "redis": "20Gi"}


def test_everything_is_in_the_namespace(cluster: Cluster) -> None:
    [namespace] = cluster.all("Namespace")
    assert namespace["metadata"]["name"] == "agent-factory"
    others = [one for one in cluster.manifests if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in others} == {"agent-factory"}


def test_configuration_has_the_guides_names(cluster: Cluster) -> None:
    assert cluster.config()
    secrets = {
        volume["secret"]["secretName"]
        for pod in cluster.pods()
        for volume in pod.spec.get("volumes", ())
        if "secret" in volume
    }
    assert secrets == {"agent-factory-secrets"}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_volumes_have_the_guides_sizes(production: Cluster, name: str, size: str) -> None:
    [claim] = production.one("StatefulSet", name)["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == size
    assert claim["spec"]["storageClassName"] == "fast-ssd"


@pytest.mark.parametrize(
    ("name", "port", "requests", "limits"),
    [
        ("postgres", 5432, ("2Gi", "1"), ("4Gi", "2")),
        ("redis", 6379, ("512Mi", "250m"), ("2Gi", "1")),
    ],
)
def test_servers_have_the_guides_ports_and_resources(
    production: Cluster, name: str, port: int, requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    [listens] = production.one("Service", f"{name}-service")["spec"]["ports"]
    assert listens["port"] == port
    resources = production.pod(name).container["resources"]
    for given, wanted in ((resources["requests"], requests), (resources["limits"], limits)):
        assert (given["memory"], str(given["cpu"])) == wanted


def test_the_gateway_is_rolled_without_a_gap(base: Cluster, production: Cluster) -> None:
    deployment = base.one("Deployment", "agent-factory")["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    # There the autoscaler alone has the number, 3 at least.
    assert "replicas" not in production.one("Deployment", "agent-factory")["spec"]


def test_the_gateways_probes_are_the_guides(cluster: Cluster) -> None:
    pod = cluster.pod("agent-factory")
    assert (pod.port("http"), pod.port("metrics")) == (8000, 9090)
    timing = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
    for probe, path, numbers in (
        ("livenessProbe", "/health", (30, 10, 5, 3)),
        ("readinessProbe", "/ready", (10, 5, 3, 2)),
    ):
        found = pod.container[probe]
        assert (found["httpGet"]["path"], pod.port(found["httpGet"]["port"])) == (path, 8000)
        assert tuple(found[name] for name in timing) == numbers


def test_the_gateway_has_the_guides_resources_and_annotations(production: Cluster) -> None:
    pod = production.pod("agent-factory")
    assert pod.container["resources"] == {
        "requests": {"memory": "1Gi", "cpu": "500m"},
        "limits": {"memory": "2Gi", "cpu": "1"},
    }
    assert pod.template["metadata"]["annotations"].items() >= {
        ("prometheus.io/scrape", "true"),
        ("prometheus.io/port", "9090"),
        ("prometheus.io/path", "/metrics"),
    }


def test_only_http_is_on_the_service_that_callers_reach(cluster: Cluster) -> None:
    [port] = cluster.one("Service", "agent-factory-service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 8000)
    kinds = {one["spec"].get("type", "ClusterIP") for one in cluster.all("Service")}
    assert kinds == {"ClusterIP"}, "an Ingress is the only way in"


def test_the_gateway_scales_as_the_guide_says(production: Cluster) -> None:
    spec = production.one("HorizontalPodAutoscaler", "agent-factory-hpa")["spec"]
    assert spec["scaleTargetRef"]["name"] == "agent-factory"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    targets = {
        one["resource"]["name"]: one["resource"]["target"]["averageUtilization"]
        for one in spec["metrics"]
    }
    assert targets == {"cpu": 70, "memory": 80}


def test_servers_keep_their_data_and_say_when_they_are_ready(cluster: Cluster) -> None:
    for name in SIZES:
        container = cluster.pod(name).container
        assert cluster.one("StatefulSet", name)
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    postgres = cluster.pod("postgres").container
    data = next(one["value"] for one in postgres["env"] if one["name"] == "PGDATA")
    mounts = [one["mountPath"] for one in postgres["volumeMounts"] if one["name"] == "data"]
    assert [data.rpartition("/")[0]] == mounts, "a subdirectory of the volume"


def test_redis_leaves_room_for_a_copy_of_what_changes(cluster: Cluster) -> None:
    pod = cluster.pod("redis")
    words = " ".join(pod.command).split()
    most = words[words.index("--maxmemory") + 1]
    assert most.endswith("mb")
    limit = quantity(pod.container["resources"]["limits"]["memory"])
    assert int(most[:-2]) * 2**20 <= 0.6 * limit


def test_a_worker_may_finish_its_longest_call(cluster: Cluster) -> None:
    for pod in cluster.pods():
        if pod.component == "worker":
            longest_s = int(cluster.config()["CALL_TIMEOUT_S"])
            assert pod.spec["terminationGracePeriodSeconds"] >= longest_s + 60


def test_two_dispatchers_never_share_a_node(production: Cluster) -> None:
    spec = production.one("Deployment", "agent-factory-dispatcher")["spec"]
    assert spec["replicas"] == 2
    [rule] = spec["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"


def test_what_runs_when(cluster: Cluster) -> None:
    crons = {
        one["metadata"]["name"].removeprefix("agent-factory-"): one["spec"]
        for one in cluster.all("CronJob")
    }
    assert {name: spec["schedule"] for name, spec in crons.items()} == {
        "backup": "0 1 * * *",
        "maintenance-nightly": "0 2 * * *",
        "maintenance-weekly": "0 3 * * 0",
    }
    assert {spec["concurrencyPolicy"] for spec in crons.values()} == {"Forbid"}


def test_the_ingress_has_tls_and_the_guides_limits(production: Cluster) -> None:
    [ingress] = production.all("Ingress")
    [tls], [rule] = ingress["spec"]["tls"], ingress["spec"]["rules"]
    assert tls["hosts"] == [rule["host"]] == ["api.yourdomain.com"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    given = {
        key.removeprefix("nginx.org/"): value
        for key, value in ingress["metadata"]["annotations"].items()
    }
    assert given["hsts-max-age"] == "31536000"
    assert given["hsts-include-subdomains"] == given["redirect-to-https"] == "true"
    limits = ("rate", "burst", "zone-size", "no-delay", "reject-code")
    assert [given[f"limit-req-{one}"] for one in limits] == ["60r/m", "100", "10m", "true", "429"]
    timeouts = ("connect", "send", "read")
    assert [given[f"proxy-{one}-timeout"] for one in timeouts] == ["60s", "60s", "300s"]
    assert given["proxy-buffering"] == "false"


def test_both_controllers_of_the_class_nginx_find_the_same_values(production: Cluster) -> None:
    """Each knows its own annotations alone, and without them cuts a wait after 60 s and a bulk after 1 MiB."""
    [ingress] = production.all("Ingress")
    given = ingress["metadata"]["annotations"]
    for one in ("connect", "send", "read"):
        name = f"proxy-{one}-timeout"
        assert given[f"nginx.org/{name}"] == given[f"nginx.ingress.kubernetes.io/{name}"] + "s"
    bodies = ("nginx.org/client-max-body-size", "nginx.ingress.kubernetes.io/proxy-body-size")
    assert {given[name] for name in bodies} == {"17m"}
    assert given["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    rate = int(given["nginx.ingress.kubernetes.io/limit-rpm"])
    multiple = int(given["nginx.ingress.kubernetes.io/limit-burst-multiplier"])
    assert f"{rate}r/m" == given["nginx.org/limit-req-rate"]
    assert rate * multiple >= int(given["nginx.org/limit-req-burst"])
