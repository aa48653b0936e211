"""`deploy/kubernetes`: rendered by kubectl, by the schemas of Kubernetes and of operators, and by checkov."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.validate.manifests import FOLDERS, KUBERNETES, Manifest, is_custom, render
from deploy.validate.tools import Tools

VERSIONS = ("1.28", "1.35")
"""The oldest that is supported, and the newest that is checked."""
CUSTOM = Path(__file__).parents[1] / "custom.mjs"
EXTERNAL_SECRETS = KUBERNETES / "components/external-secrets/externalsecret.yaml"


def check(tools: Tools) -> None:
    """Every folder that somebody may apply. Raises Invalid, Unavailable."""
    rendered = [render(tools, tools.root / KUBERNETES / folder) for folder in FOLDERS]
    with tempfile.TemporaryDirectory() as directory:
        files = [
            write(Path(directory) / f"{number}.yaml", [one for one in found if not is_custom(one)])
            for number, found in enumerate(rendered)
        ]
        for version in VERSIONS:
            check_schema(tools, version, files)
        check_practice(tools, files)
    example = list(yaml.safe_load_all((tools.root / EXTERNAL_SECRETS).read_text()))
    custom = [one for found in rendered for one in found if is_custom(one)]
    check_custom(tools, [*custom, *example])


def write(file: Path, manifests: Sequence[Manifest]) -> Path:
    """The file, as tools read it."""
    file.write_text(yaml.safe_dump_all(manifests))
    return file


def check_schema(tools: Tools, version: str, files: Sequence[Path]) -> None:
    """By Kubernetes' own schema, with no field that it does not know. Raises Invalid."""
    tools.run([tools.python("kubernetes-validate"), "--quiet", "--strict", "-k", version, *files])


def check_practice(tools: Tools, files: Sequence[Path]) -> None:
    """What is skipped, and why, stands in checkov.yaml. Raises Invalid."""
    config = tools.root / KUBERNETES / "checkov.yaml"
    tools.run([tools.python("checkov"), "--config-file", config, "--file", *files])


def check_custom(tools: Tools, manifests: Sequence[Manifest]) -> None:
    """By the schemas that operators bring. Raises Invalid for a kind that has none here too."""
    node = tools.debian("node", "nodejs")
    tools.run([node, CUSTOM, tools.npm()], input=json.dumps(manifests))
