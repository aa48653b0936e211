"""`validate kubernetes` fails on what is broken: each fault by the tool that is there for it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.validate.checks import kubernetes
from deploy.validate.manifests import Manifest, is_custom
from deploy.validate.tools import Invalid, Tools, Unavailable
from tests.integration.deploy.kubernetes.cluster import Cluster

NEWEST = kubernetes.VERSIONS[-1]
Spoil = Callable[[Manifest], None]


@pytest.fixture
def gateway(base: Cluster) -> Manifest:
    """A Deployment to spoil."""
    return copy.deepcopy(base.one("Deployment", "agent-factory"))


@pytest.fixture
def scaled(production: Cluster) -> Manifest:
    """A ScaledObject to spoil."""
    return copy.deepcopy(production.all("ScaledObject")[0])


def _misspell(gateway: Manifest) -> None:
    _container(gateway)["livenesProbe"] = {}


def _write_a_word_for_a_number(gateway: Manifest) -> None:
    _container(gateway)["readinessProbe"]["periodSeconds"] = "often"


@pytest.mark.parametrize(
    ("spoil", "named"), [(_misspell, "livenesProbe"), (_write_a_word_for_a_number, "often")]
)
def test_what_is_no_manifest_is_found(
    tools: Tools, gateway: Manifest, tmp_path: Path, spoil: Spoil, named: str
) -> None:
    spoil(gateway)
    with pytest.raises(Invalid, match=named):
        kubernetes.check_schema(tools, NEWEST, [kubernetes.write(tmp_path / "spoilt", [gateway])])


def test_root_the_latest_image_and_no_limit_are_found(
    tools: Tools, gateway: Manifest, tmp_path: Path
) -> None:
    gateway["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 0}
    _container(gateway)["image"] = "agent-factory:latest"
    del _container(gateway)["resources"]["limits"]
    try:
        with pytest.raises(Invalid) as found:
            kubernetes.check_practice(
                tools, [kubernetes.write(tmp_path / "spoilt.yaml", [gateway])]
            )
    except Unavailable as reason:
        pytest.skip(str(reason))
    for name in ("CKV_K8S_23", "CKV_K8S_14", "CKV_K8S_11", "CKV_K8S_13"):
        assert name in str(found.value)


def _write_a_number_for_a_word(scaled: Manifest) -> None:
    scaled["spec"]["triggers"][0]["metricType"] = 3


def _forget_what_is_scaled(scaled: Manifest) -> None:
    del scaled["spec"]["scaleTargetRef"]


def _name_a_kind_that_has_no_schema(scaled: Manifest) -> None:
    scaled["apiVersion"] = "keda.example/v1"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_write_a_number_for_a_word, "metricType"),
        (_forget_what_is_scaled, "scaleTargetRef"),
        (_name_a_kind_that_has_no_schema, "no schema"),
    ],
)
def test_what_is_no_custom_resource_is_found(
    tools: Tools, scaled: Manifest, spoil: Spoil, named: str
) -> None:
    assert is_custom(scaled)
    spoil(scaled)
    with pytest.raises(Invalid, match=named):
        kubernetes.check_custom(tools, [scaled])


def _container(gateway: Manifest) -> Manifest:
    container: Manifest = gateway["spec"]["template"]["spec"]["containers"][0]
    return container
