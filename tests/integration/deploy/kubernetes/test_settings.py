"""What the manifests set is what programs read; what pods need is in the Secret; the sums come out."""

from __future__ import annotations

import re
from pathlib import Path

from factory import __version__
from factory.config import Settings, consumed_names
from factory.store.reader import THREADS
from tests.integration.deploy.kubernetes.cluster import Cluster, Pod, quantity

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs/operations/kubernetes.md"
SURGE, SUPERUSERS, EXPORTER = 1, 3, 3
OWN = {"PGDATA", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"}
"""Of Postgres' image."""


def test_every_setting_exists(cluster: Cluster) -> None:
    settings = {*map(str.upper, Settings.model_fields), *consumed_names()}
    given = set(cluster.config())
    for pod in cluster.pods():
        if pod.of_platform:
            given |= {one["name"] for one in pod.container.get("env", ())}
    assert given <= settings


def test_settings_are_accepted(cluster: Cluster, tmp_path: Path) -> None:
    from factory.config import load_settings

    environ = dict(cluster.config())
    for name, value in environ.items():
        if name.endswith("_FILE"):
            file = tmp_path / name
            file.write_text("of-32-letters-or-more-by-chance-x7Qp2")
            environ[name] = str(file)
            assert value.rpartition("/")[2] == name.removesuffix("_FILE")
    settings = load_settings(environ)
    assert "@postgres-service:5432/agent_factory_prod" in settings.database_url
    assert settings.redis_url.endswith("@redis-service:6379/0")


def test_files_of_settings_are_mounted(cluster: Cluster) -> None:
    """By the names under which settings look for them."""
    wanted = {value for name, value in cluster.config().items() if name.endswith("_FILE")}
    for pod in cluster.pods():
        if pod.of_platform:
            [mount] = [one for one in pod.container["volumeMounts"] if one["name"] == "secrets"]
            [volume] = [one for one in pod.spec["volumes"] if one["name"] == "secrets"]
            items = volume["secret"]["items"]
            assert {f"{mount['mountPath']}/{one['path']}" for one in items} == wanted


def test_the_guide_makes_every_key_of_the_secret(production: Cluster) -> None:
    guide = GUIDE.read_text()
    for key, optional in secret_keys(production).items():
        assert f"`{key}`" in guide or re.search(rf"\b{key}\b", guide), key
        made = re.search(r"for name in ([A-Z_ ]+); do", guide)
        assert optional or (made and key in made[1].split()), f"{key} is not made"


def test_only_workers_have_keys_of_providers(cluster: Cluster) -> None:
    holders = {
        pod.component
        for pod in cluster.pods()
        for one in pod.container.get("env", ())
        if one["name"].endswith("_API_KEY")
    }
    assert holders == {"worker"}


def test_the_image_is_the_version_of_the_code(cluster: Cluster) -> None:
    images = {pod.container["image"] for pod in cluster.pods() if pod.of_platform}
    assert images == {f"agent-factory:{__version__}"}


def test_images_are_pinned_and_those_of_compose(production: Cluster) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for pod in production.pods():
        image = pod.container["image"]
        assert re.search(r":v?\d+\.\d+\.\d+", image), image
        assert pod.of_platform or f"image: {image}\n" in compose, image


def test_connections_fit_what_postgres_allows(production: Cluster) -> None:
    together = sum(_connections(production, pod) for pod in production.pods() if pod.of_platform)
    together += sum(len(one["spec"]["triggers"]) for one in production.all("ScaledObject"))
    together += EXPORTER * (1 + SURGE) + SUPERUSERS
    conf = production.generated("postgres-conf")["data"]["local.conf"]
    allowed = int(re.search(r"^max_connections = (\d+)", conf, re.M)[1])  # type: ignore[index]
    assert together <= allowed
    assert f"**{together}**" in GUIDE.read_text(), f"the guide's sum is not {together}"


def test_postgres_fits_its_pod(production: Cluster) -> None:
    conf = production.generated("postgres-conf")["data"]["local.conf"]
    size = {
        name: int(number) * {"MB": 2**20, "GB": 2**30}[unit]
        for name, number, unit in re.findall(r"^(\w+) = (\d+)(MB|GB)$", conf, re.M)
    }
    limit = quantity(production.pod("postgres").container["resources"]["limits"]["memory"])
    connections = int(re.search(r"^max_connections = (\d+)", conf, re.M)[1])  # type: ignore[index]
    assert size["shared_buffers"] * 4 == limit
    assert size["effective_cache_size"] * 4 == limit * 3
    sorting = connections * size["work_mem"]
    assert size["shared_buffers"] + sorting + 3 * size["maintenance_work_mem"] < limit


def secret_keys(cluster: Cluster) -> dict[str, bool]:
    """The keys that pods ask of the Secret, and whether they start without."""
    keys: dict[str, bool] = {}
    for pod in cluster.pods():
        for one in pod.container.get("env", ()):
            asked = one.get("valueFrom", {}).get("secretKeyRef")
            if asked:
                optional = asked.get("optional", False)
                keys[asked["key"]] = keys.get(asked["key"], True) and optional
        for volume in pod.spec.get("volumes", ()):
            for item in volume.get("secret", {}).get("items", ()):
                keys[item["key"]] = False
    return keys


def _connections(cluster: Cluster, pod: Pod) -> int:
    """Of all pods of a workload at their most, and one on top while they roll."""
    pool = int(cluster.config()["DATABASE_POOL_SIZE"])
    processes = int(cluster.config()["WORKER_COUNT"]) if pod.component == "gateway" else 1
    each = processes * pool + (THREADS if pod.component == "worker" else 0)
    return each * _most(cluster, pod)


def _most(cluster: Cluster, pod: Pod) -> int:
    spec = pod.owner["spec"]
    if pod.owner["kind"] != "Deployment":
        return 1
    surge = SURGE if spec.get("strategy", {}).get("type") != "Recreate" else 0
    for scaler in (*cluster.all("HorizontalPodAutoscaler"), *cluster.all("ScaledObject")):
        if scaler["spec"]["scaleTargetRef"]["name"] == pod.name:
            most = scaler["spec"].get("maxReplicas") or scaler["spec"]["maxReplicaCount"]
            return int(most) + surge
    return int(spec["replicas"]) + surge
