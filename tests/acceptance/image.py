"""The image without Docker: the Dockerfile's own lines, followed in an empty directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.install import PROGRAMS

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
UV = Path(sys.executable).with_name("uv")
INSTALL_S = 300


@dataclass(frozen=True)
class Image:
    """What an image would hold: an environment with the built package, and the working directory."""

    venv: Path
    app: Path

    def program(self, name: str) -> str:
        return str(self.venv / "bin" / name)


def build_image(directory: Path) -> Image:
    """Builds as the Dockerfile does, outside the repository. Nothing of this environment is seen in it."""
    image = Image(directory / "venv", directory / "app")
    stages = list(_stages())
    assert len(stages) == 2
    for place, stage in zip((directory / "build", image.app), stages, strict=True):
        place.mkdir(parents=True)
        for instruction, words in stage:
            if instruction == "COPY":
                _copy(words, place)
            elif instruction == "RUN":
                for command in " ".join(words).split(" && "):
                    _run(command.split(), place, image.venv)
    compile_programs(image.venv)
    return image


def compile_programs(venv: Path, code: Path | None = None) -> None:
    """As pip does and uv does not, for what the programs import. An ordinary user cannot do it later.

    `code`: where the packages are, if they are not installed.
    """
    writing = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    if code:
        writing["PYTHONPATH"] = str(code)
    python = str(venv / "bin" / "python")
    commands = [[python, "-c", f"import {modules}"] for modules in PROGRAMS]
    halves = [subprocess.Popen(command, cwd="/", env=writing) for command in commands]
    assert [half.wait(INSTALL_S) for half in halves] == [0, 0]


def exec_form(instruction: str) -> list[str]:
    """The words of the last `CMD [...]`, or of what another instruction has."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    found = re.findall(rf"^{instruction} .*?(\[.*\])$", text, re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def _stages() -> Iterator[list[tuple[str, list[str]]]]:
    """Each stage's instructions, without the continuation of lines."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    for stage in re.split(r"^FROM .*$", text, flags=re.MULTILINE)[1:]:
        lines = (shlex.split(line, comments=True) for line in stage.splitlines())
        yield [(words[0], words[1:]) for words in lines if words]


def _copy(words: list[str], place: Path) -> None:
    if words[0].startswith("--from"):
        return  # the environment stands where it was made
    *sources, target = words
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place / target, ignore=_not_in_context)
        else:
            shutil.copy(ROOT / source, place / target)


def _not_in_context(_directory: str, names: list[str]) -> list[str]:
    """As .dockerignore has it."""
    return [name for name in names if name == "__pycache__" or name.endswith(".egg-info")]


def _run(words: list[str], place: Path, venv: Path) -> None:
    match words:
        case ["python", "-m", "venv", "--without-pip", "/venv"]:
            make_venv(venv)
        case ["python", "-m", "pip", "--python", "/venv/bin/python", "install", *arguments]:
            install(arguments, place, venv)
        case ["python", "-m", "pip", "--python", "/venv/bin/python", "check"]:
            subprocess.run([UV, "pip", "check", "-q", "--python", venv / "bin/python"], check=True)
        case ["groupadd" | "useradd" | "install", *_] | ["python", "-m", "pip", "uninstall", *_]:
            pass  # of the base; the tests become another user by setpriv
        case _:
            raise AssertionError(f"a step that the test cannot follow: {words}")


def make_venv(venv: Path) -> None:
    """An empty one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)


def install(arguments: list[str], place: Path, venv: Path) -> None:
    """By uv, out of its cache, where it is there: pip takes ten times as long for the same."""
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "-q"]
    uv = [UV, "pip", "install", "-q", "--python", venv / "bin" / "python"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for command in ([uv] if UV.exists() else []) + [pip]:
        done = subprocess.run(
            [*command, *arguments], cwd=place, env=clean, timeout=INSTALL_S, check=False
        )
        if done.returncode == 0:
            return
    raise AssertionError(f"not installed: {arguments}")
