"""Components that no overlay of the repository has: they are rendered on top of production, and valid."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from deploy.validate.checks import kubernetes
from deploy.validate.manifests import KUBERNETES, is_custom, render
from deploy.validate.tools import Tools, Unavailable
from factory.providers import PROVIDERS
from tests.integration.deploy.kubernetes.cluster import Cluster
from tests.integration.deploy.kubernetes.test_settings import secret_keys

ROOT = Path(__file__).parents[4]
OPTIONAL = ("external-secrets", "flower")


@pytest.fixture(scope="module")
def full(production: Cluster, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Production with all that there is."""
    room = tmp_path_factory.mktemp("full")
    shutil.copytree(ROOT / "deploy", room / "deploy", ignore=shutil.ignore_patterns("validate"))
    mine = room / KUBERNETES / "overlays/mine"
    mine.mkdir()
    head = yaml.safe_load(
        (ROOT / KUBERNETES / "overlays/production/kustomization.yaml").read_text()
    )
    document = {
        **{key: head[key] for key in ("apiVersion", "kind", "namespace")},
        "resources": ["../production"],
        "components": [f"../../components/{name}" for name in OPTIONAL],
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return Cluster(render(tools, mine))


def test_every_component_is_in_an_overlay_or_here() -> None:
    production = (ROOT / KUBERNETES / "overlays/production/kustomization.yaml").read_text()
    for folder in (ROOT / KUBERNETES / "components").iterdir():
        assert folder.name in OPTIONAL or f"- ../../components/{folder.name}\n" in production


def test_all_components_together_are_valid(full: Cluster, tools: Tools, tmp_path: Path) -> None:
    core = [one for one in full.manifests if not is_custom(one)]
    file = kubernetes.write(tmp_path / "full.yaml", core)
    try:
        kubernetes.check_schema(tools, kubernetes.VERSIONS[-1], [file])
        kubernetes.check_practice(tools, [file])
        kubernetes.check_custom(tools, [one for one in full.manifests if is_custom(one)])
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_the_example_of_external_secrets_has_every_key(full: Cluster) -> None:
    [secret] = full.all("ExternalSecret")
    unusual = {one.key.setting for one in PROVIDERS if one.key and not one.usual}
    assert {one["secretKey"] for one in secret["spec"]["data"]} == secret_keys(
        full
    ).keys() - unusual


def test_all_run_the_same_image(full: Cluster) -> None:
    assert len({pod.container["image"] for pod in full.pods() if pod.of_platform}) == 1


def test_workers_tell_flower_of_their_jobs(full: Cluster, production: Cluster) -> None:
    def telling(cluster: Cluster) -> set[str]:
        return {pod.name for pod in cluster.pods() if "--events" in pod.command}

    assert not telling(production)
    assert telling(full) == {pod.name for pod in full.pods() if pod.component == "worker"}


def test_flower_is_reached_from_nowhere_within(full: Cluster) -> None:
    flower = full.pod("agent-factory-flower")
    assert flower.port("http") == 5555
    named = [
        one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
        for one in full.all("NetworkPolicy")
    ]
    assert flower.component not in named
    assert not any(flower.component in str(ingress["spec"]) for ingress in full.all("Ingress"))
