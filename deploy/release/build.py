"""Builds a release: from the commit alone, so that nothing of the working tree gets into it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.docs.reference.api import document
from deploy.release.readme import published
from deploy.release.version import is_release, stamp, version_of
from deploy.validate.tools import Invalid, Tools, Unavailable

NAME = "ai-agent-factory"
SUMS = "SHA256SUMS"
DOCKERFILE = "deploy/images/Dockerfile"
COPY = re.compile(r"^COPY\s+(.*)$", re.MULTILINE)
PROJECT = """[project]
name = "{name}"
version = "{version}"
license = "MIT"
"""
"""The SBOM's description of the whole: cyclonedx-py reads it only from such a file."""


def build(tools: Tools, root: Path, out: Path) -> str:
    """Fills the folder anew with what `root` has checked out; gives the version.

    Raises Invalid where the commit is not fit for a release.
    """
    demand_own(out)
    _demand_clean(root)
    version = version_of(tools, root)
    with tempfile.TemporaryDirectory(prefix="factory-release-") as scratch:
        source, made = Path(scratch, f"{NAME}-{version}"), Path(scratch, "made")
        made.mkdir()
        _export(root, source)
        _demand_changelog(source, version)
        stamp(source, version)
        _publish_readme(root, source / "README.md")
        _packages(tools, source, made, _commit_time(root))
        _image_context(source, made / f"{NAME}-{version}-image.tar.gz", _commit_time(root))
        _sbom(tools, source, made / f"{NAME}-{version}.cdx.json", version)
        _openapi(made / f"{NAME}-{version}-openapi.json", version)
        _sums(made)
        tools.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=made)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)
    return version


def demand_own(out: Path) -> None:
    """Raises Invalid where the folder, which is emptied, holds something else than a release."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / SUMS).exists())):
        raise Invalid(f"{out} is no folder of a release and would be emptied: name another")


def _demand_clean(root: Path) -> None:
    if changed := git(root, "status", "--porcelain"):
        raise Invalid(f"commit first, a release is of a commit:\n{changed}")


def _demand_changelog(source: Path, version: str) -> None:
    text = (source / "CHANGELOG.md").read_text()
    if is_release(version) and not re.search(rf"^## {re.escape(version)}\b", text, re.MULTILINE):
        raise Invalid(f"CHANGELOG.md has no section `## {version}`")


def git(root: Path, *words: str) -> str:
    """What git says."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Unavailable("git is missing; as root: apt-get install git") from None
    if done.returncode != 0:
        raise Invalid(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _export(root: Path, source: Path) -> None:
    archive = subprocess.run(
        ("git", "-C", str(root), "archive", "HEAD"), stdout=subprocess.PIPE, check=True
    )
    source.mkdir(parents=True, exist_ok=True)
    # Not by tarfile: its safe extraction came with Python 3.11.4, and Debian 12 has 3.11.2.
    subprocess.run(("tar", "-x", "-C", source), input=archive.stdout, check=True)


def _publish_readme(root: Path, readme: Path) -> None:
    """Without an origin, its links stay as they are."""
    origin = subprocess.run(
        ("git", "-C", str(root), "config", "--get", "remote.origin.url"),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    readme.write_text(published(readme.read_text(), origin, git(root, "rev-parse", "HEAD")))


def _commit_time(root: Path) -> int:
    return int(git(root, "log", "-1", "--format=%ct"))


def _packages(tools: Tools, source: Path, made: Path, epoch: int) -> None:
    """The wheel is built out of the source distribution, so that one is whole."""
    python = tools.python("release", "python")
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "PIP_NO_INPUT": "1"}
    command: list[str | Path] = [python, "-m", "build", "--no-isolation", "--outdir", made, source]
    tools.run(command, cwd=source, env=environment)
    tools.run([python, "-m", "twine", "check", "--strict", *map(str, sorted(made.iterdir()))])


def _image_context(source: Path, target: Path, epoch: int) -> None:
    """Dockerfile, its .dockerignore and what it copies: `docker build -f deploy/images/Dockerfile - < FILE`."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch
        return entry

    with (
        target.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name in context_names(source):
            archive.add(source / name, name, filter=plain)


def context_names(source: Path) -> list[str]:
    """Files and folders of the context. Raises Invalid where the Dockerfile copies what there is not."""
    names = {DOCKERFILE, ".dockerignore", *_copied((source / DOCKERFILE).read_text())}
    if missing := sorted(name for name in names if not (source / name).exists()):
        raise Invalid(f"{DOCKERFILE} copies {', '.join(missing)}, which the commit does not have")
    return sorted(names)


def _copied(dockerfile: str) -> Iterator[str]:
    for found in COPY.finditer(dockerfile.replace("\\\n", " ")):
        words = found[1].split()
        if not any(word.startswith("--from") for word in words):
            *sources, _ = [word for word in words if not word.startswith("--")]
            yield from (name.rstrip("/").removeprefix("./") for name in sources)


def _sbom(tools: Tools, source: Path, target: Path, version: str) -> None:
    """Of what requirements.txt pins; cyclonedx-py holds it against CycloneDX' own schema."""
    project = source / ".sbom.toml"
    project.write_text(PROJECT.format(name=NAME, version=version))
    tools.run(
        [
            *(tools.python("release", "cyclonedx-py"), "requirements", "--pyproject", project),
            *("--mc-type", "application", "--output-reproducible", "--validate"),
            *("--output-format", "JSON", "--output-file", target, source / "requirements.txt"),
        ]
    )
    project.unlink()


def _openapi(target: Path, version: str) -> None:
    found = document()
    found["info"]["version"] = version
    target.write_text(json.dumps(found, indent=1) + "\n")


def _sums(made: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(made.iterdir())
    ]
    (made / SUMS).write_text("".join(lines))
