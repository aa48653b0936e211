"""The release: its packages by twine, its SBOM by CycloneDX' schema, its sums by sha256sum."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.release.build import build
from deploy.validate.tools import Invalid, Tools, Unavailable


def check(tools: Tools) -> None:
    """Builds that of HEAD aside."""
    if not (shutil.which("git") and _is_checkout(tools.root)):
        raise Unavailable("a release is built from a git checkout")
    with tempfile.TemporaryDirectory(prefix="factory-release-") as scratch:
        out = Path(scratch, "dist")
        version = build(tools, _clone(tools, Path(scratch, "tree")), out)
        endings = {".whl", ".gz", ".json", ""}
        if {path.suffix for path in out.iterdir()} != endings:
            raise Invalid(f"made {sorted(path.name for path in out.iterdir())}")
        _check_sbom(out / f"ai-agent-factory-{version}.cdx.json")


def _is_checkout(root: Path) -> bool:
    ask = ["git", "-C", str(root), "rev-parse", "--verify", "-q", "HEAD"]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


def _clone(tools: Tools, tree: Path) -> Path:
    """What is not committed here is no part of the release, and no fault of it."""
    tools.run(["git", "clone", "-q", "--shared", tools.root, tree])
    return tree


def _check_sbom(path: Path) -> None:
    found = json.loads(path.read_text())
    components = found["components"]
    if not any(one["name"].lower() == "litellm" and one.get("purl") for one in components):
        raise Invalid(f"{path.name} does not name what requirements.txt pins")
