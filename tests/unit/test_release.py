"""What a release is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.release.build import DOCKERFILE, SUMS, context_names, demand_own, git
from deploy.release.version import is_release, stamp
from deploy.validate.tools import Invalid, Unavailable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", ["1.2.3", "0.1.0", "2.0.0rc1"])
def test_a_tags_version_is_a_release(version: str) -> None:
    assert is_release(version)


@pytest.mark.parametrize("version", ["0.1.dev9+gabc", "1.2.4.dev5+gabc.d20260101", "1.2.3+local"])
def test_any_other_commits_version_is_none(version: str) -> None:
    assert not is_release(version)


def test_the_version_is_written_into_the_package(tmp_path: Path) -> None:
    package = tmp_path / "factory"
    package.mkdir()
    (package / "__init__.py").write_text((ROOT / "factory" / "__init__.py").read_text())
    stamp(tmp_path, "9.8.7")
    assert '\n__version__ = "9.8.7"\n' in (package / "__init__.py").read_text()


def test_a_package_without_a_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "factory").mkdir()
    (tmp_path / "factory" / "__init__.py").write_text("")
    with pytest.raises(Invalid, match="0 times"):
        stamp(tmp_path, "9.8.7")


def test_the_image_context_has_what_the_dockerfile_copies() -> None:
    names = context_names(ROOT)
    assert {DOCKERFILE, ".dockerignore", "factory", "requirements.txt"} <= set(names)
    assert not {"tests", ".git"} & set(names)


def test_a_dockerfile_that_copies_what_there_is_not_is_refused(tmp_path: Path) -> None:
    dockerfile = tmp_path / DOCKERFILE
    dockerfile.parent.mkdir(parents=True)
    (tmp_path / ".dockerignore").touch()
    dockerfile.write_text("COPY --chown=1:1 nowhere \\\n  /app/\nCOPY --from=build /venv /venv\n")
    with pytest.raises(Invalid, match="nowhere"):
        context_names(tmp_path)


def test_nothing_is_unpacked_by_what_the_oldest_python_does_not_have() -> None:
    """`filter` came to tarfile with Python 3.11.4; the Python of Debian 12 is 3.11.2."""
    rooms = ("api", "deploy", "factory", "workers", "tests/faults")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    assert [file for file in files if "extractall(" in file.read_text()] == []


def test_a_folder_with_other_files_is_not_emptied(tmp_path: Path) -> None:
    demand_own(tmp_path)
    demand_own(tmp_path / "new")
    (tmp_path / "thesis.txt").touch()
    for out in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(Invalid, match="would be emptied"):
            demand_own(out)
    (tmp_path / SUMS).touch()
    demand_own(tmp_path)


def test_without_git_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="git is missing"):
        git(ROOT, "status")
