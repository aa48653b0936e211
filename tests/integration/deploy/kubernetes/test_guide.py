"""The overlays that the guide has its readers write are rendered, and do what the guide says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.validate.manifests import KUBERNETES, kubectl, render
from deploy.validate.tools import Tools
from tests.integration.deploy.kubernetes.cluster import Cluster

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs/operations/kubernetes.md"
HEAD = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: agent-factory
resources: [../production]
"""
OPTIONAL = {("job", "before-upgrade"), ("service", "agent-factory-flower")}
"""Made by the guide itself; of a component that no overlay has."""


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A copy of what a reader has."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("validate"))
    return tmp_path


def _block(heading: str) -> str:
    """The YAML below a heading of the guide."""
    section = GUIDE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.search(r"^( *)```yaml\n(.*?)^ *```", section, re.M | re.S)
    assert found, heading
    return "\n".join(line.removeprefix(found[1]) for line in found[2].splitlines())


def _mine(tools: Tools, room: Path, text: str) -> Cluster:
    mine = room / KUBERNETES / "overlays/mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(text)
    (mine / "summarizer.yaml").write_text("name: summarizer\n")
    return Cluster(render(tools, mine))


@pytest.mark.usefixtures("base")
def test_an_overlay_of_ones_own_has_its_image_and_its_host(tools: Tools, deploy: Path) -> None:
    mine = _mine(tools, deploy, _block("Install"))
    images = {pod.container["image"] for pod in mine.pods() if pod.of_platform}
    assert images == {"registry.example.com/agent-factory:0.1.0"}
    [ingress] = mine.all("Ingress")
    host = ingress["spec"]["rules"][0]["host"]
    assert mine.config()["API_BASE_URL"] == f"https://{host}" == "https://factory.example.com"
    assert ingress["spec"]["tls"][0]["hosts"] == [host]


@pytest.mark.usefixtures("base")
def test_agents_of_ones_own_are_mounted_everywhere(tools: Tools, deploy: Path) -> None:
    mine = _mine(tools, deploy, HEAD + _block("Agents"))
    for pod in mine.pods():
        if pod.of_platform and pod.owner["kind"] != "CronJob":
            assert "/app/agents" in [one["mountPath"] for one in pod.container["volumeMounts"]]


@pytest.mark.usefixtures("base")
def test_managed_servers_leave_no_server_in_the_cluster(tools: Tools, deploy: Path) -> None:
    mine = _mine(tools, deploy, HEAD + _block("Use managed servers"))
    assert not mine.all("StatefulSet")
    assert not {one["metadata"]["name"] for one in mine.all("Service")} & {
        "postgres-service",
        "redis-service",
    }
    assert mine.config()["DATABASE_HOST"] == "database.example.com"


@pytest.mark.usefixtures("base")
def test_kubectl_understands_every_command_of_the_guide(tools: Tools, deploy: Path) -> None:
    """Where nobody listens: what is misspelt is refused before, all else when it connects."""
    _mine(tools, deploy, _block("Install"))
    (deploy / "secrets.env").write_text("SECRET_KEY=a\n")
    server = "--server=http://127.0.0.1:1"
    commands = re.findall(r"^ *\$ kubectl (.*)$", GUIDE.read_text(), re.M)
    assert len(commands) > 20
    for command in (*commands, "rollout status deployment --selektor a=b"):
        line = f"{kubectl(tools)} {server} {command}"
        done = subprocess.run(
            line, shell=True, cwd=deploy, capture_output=True, text=True, check=False, timeout=60
        )
        understood = "127.0.0.1:1" in done.stderr
        assert understood is ("selektor" not in command), f"{command}\n{done.stderr}"


def test_every_object_that_the_guide_names_is_made(production: Cluster) -> None:
    text = GUIDE.read_text()
    made = {(one["kind"].lower(), one["metadata"]["name"]) for one in production.manifests}
    named = set(re.findall(r"\b(deployment|job|cronjob|service)/([a-z0-9-]+)", text))
    assert named
    assert named - OPTIONAL <= made


def test_every_component_that_the_guide_selects_has_pods(production: Cluster) -> None:
    text = GUIDE.read_text()
    named = set(re.findall(r"component=([a-z]+)", text))
    named |= set(re.search(r"notin \(([a-z,]+)\)", text)[1].split(","))  # type: ignore[index]
    assert named <= {pod.component for pod in production.pods()}


def test_the_guides_yaml_is_yaml() -> None:
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", GUIDE.read_text(), re.M | re.S):
        assert yaml.safe_load(block)
