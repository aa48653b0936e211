"""A release of a clone: with a tag, without one, and of what is not fit for one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from deploy.release.build import build, git
from deploy.validate.tools import Invalid, Tools, Unavailable

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[3]
VERSION = "99.9.9"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    try:
        git(ROOT, "clone", "-q", "--shared", str(ROOT), str(tree))
    except (Invalid, FileNotFoundError):
        pytest.skip("a release is built from a git checkout")
    return tree


@pytest.fixture
def tools() -> Tools:
    found = Tools(ROOT)
    try:
        found.python("release", "python")
    except Unavailable as reason:
        pytest.skip(str(reason))
    return found


def test_a_tag_is_the_version_of_everything(tools: Tools, clone: Path, tmp_path: Path) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + f"\n## {VERSION}\n")
    git(clone, *AUTHOR, "commit", "-qam", "release")
    git(clone, *AUTHOR, "tag", "-a", f"v{VERSION}", "-m", "release")
    out = tmp_path / "dist"
    out.mkdir()
    (out / "SHA256SUMS").write_text("of the release before")
    assert build(tools, clone, out) == VERSION
    wheel = out / f"ai_agent_factory-{VERSION}-py3-none-any.whl"
    assert _sums_are_right(out)
    assert _said_by_the_wheel(wheel, tmp_path / "installed") == f"factory {VERSION}"
    sbom = json.loads((out / f"ai-agent-factory-{VERSION}.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["version"] == VERSION
    named = {(one["name"].lower(), one["version"]) for one in sbom["components"]}
    assert _pinned() <= named
    with tarfile.open(out / f"ai-agent-factory-{VERSION}-image.tar.gz") as context:
        names = set(context.getnames())
    assert {"deploy/images/Dockerfile", "factory/__init__.py", "requirements.txt"} <= names
    openapi = json.loads((out / f"ai-agent-factory-{VERSION}-openapi.json").read_text())
    assert openapi["info"]["version"] == VERSION


def test_a_tag_without_its_changelog_is_refused(tools: Tools, clone: Path, tmp_path: Path) -> None:
    git(clone, *AUTHOR, "tag", "-a", f"v{VERSION}", "-m", "release")
    with pytest.raises(Invalid, match=f"no section `## {VERSION}`"):
        build(tools, clone, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_what_is_not_committed_is_no_release(tools: Tools, clone: Path, tmp_path: Path) -> None:
    (clone / "README.md").write_text("changed")
    with pytest.raises(Invalid, match=r"commit first[\s\S]*README.md"):
        build(tools, clone, tmp_path / "dist")


def _sums_are_right(out: Path) -> bool:
    told = dict(
        reversed(line.split("  ", 1)) for line in (out / "SHA256SUMS").read_text().splitlines()
    )
    made = {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    return set(told) == made and all(
        hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        for name, digest in told.items()
    )


def _said_by_the_wheel(wheel: Path, target: Path) -> str:
    """Beside this environment's packages: what the wheel brings goes first."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(target)
    code = (
        "from factory.cli.main import main; import sys; sys.argv = ['factory', '--version']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=target,
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _pinned() -> set[tuple[str, str]]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = (line.split()[0].split("==") for line in lines if "==" in line.split(";")[0])
    # A package with an extra is listed by its name.
    return {(name.partition("[")[0].lower(), version) for name, version in pins}
