"""Checks what pages tell a reader to type and to set: commands of `factory`, targets of make, modules, variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from markdown_it import MarkdownIt

from deploy.docs.blocks import read_blocks
from deploy.docs.links import present_pages
from deploy.validate.tools import Invalid
from factory.cli.main import create_app
from factory.config import Settings
from factory.config.environment import PARTS, SECRETS
from factory.env_file import parse_env

OURS = ("api", "benchmarks", "deploy", "factory", "tests", "workers")
COMMAND = re.compile(r"(?:^|[\s(\"'/;])factory ([^|;&#\n]+)")
TARGET = re.compile(r"(?:^|[\s(;])make ([a-z][a-z-]*)")
DRILLS = re.compile(r"DRILLS=\"?([a-z_ ]+)")
MODULE = re.compile(r"python -m ([\w.]+)")
TESTS = re.compile(r"\s(tests/[\w./]+)")
VARIABLE = re.compile(r"(?<![\w$./-])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w-])")
TYPED = (COMMAND, TARGET, DRILLS, MODULE, TESTS)
"""What is looked for in what a reader may type; variables may stand anywhere."""

OTHER_VARIABLES = frozenset(
    {
        # Ours, and not among the settings.
        *("FACTORY_API_KEY", "FACTORY_ENV_FILE", "FACTORY_HOME", "FACTORY_URL"),
        *("TEST_DATABASE_URL", "TEST_REDIS_URL"),
        # Of other programs.
        *("AZURE_API_KEY", "GROQ_API_KEY", "HTTPS_PROXY", "OLLAMA_HOST", "OLLAMA_NUM_PARALLEL"),
        *("PG_EXPORTER_EXTEND_QUERY_PATH", "REDISCLI_AUTH", "SSL_CERT_FILE"),
        # A reader's own, in an example.
        *("VECTOR_STORE_URL", "WEBHOOK_SECRET"),
        # Demanded by the production guide, and open.
        *("API_CORS_ORIGINS", "CACHE_TTL_MEDIUM", "ENABLE_QUERY_CACHE", "GRAFANA_API_KEY"),
        # Names in the code.
        *("NOT_STARTED", "PATH_PARTS", "SPENDS_GROUND", "WITHOUT_GUARD"),
    }
)


Look = Callable[[str], str]
"""What is wrong with a name; empty if nothing is."""


def check_names(root: Path) -> str:
    """How many names there are. Raises Invalid that says which of them nothing answers to."""
    looks = looks_of(root)
    found = [
        fault
        for page in present_pages(root)
        for fault in looked_up(page, (root / page).read_text(), looks)
    ]
    if faults := [fault for fault in found if fault]:
        raise Invalid("\n".join(faults))
    return f"{len(found)} names"


def looked_up(page: str, text: str, looks: Mapping[re.Pattern[str], Look]) -> Iterator[str]:
    """A fault for each name, empty where something answers to it."""
    lines = ((f"{page}:{number}", line) for number, line in enumerate(text.splitlines(), start=1))
    for place, told, patterns in (
        *((place, typed, TYPED) for place, typed in _typed(page, text)),
        *((place, line, (VARIABLE,)) for place, line in lines),
    ):
        for pattern in patterns:
            for name in pattern.findall(told):
                fault = looks[pattern](name)
                yield f"{place}: {fault}" if fault else ""


def looks_of(root: Path) -> Mapping[re.Pattern[str], Look]:
    """What knows the names that a pattern finds."""
    return {
        COMMAND: _unknown_to_factory(typer.main.get_command(create_app())),
        TARGET: _not_among("target of make", _targets(root)),
        DRILLS: lambda names: _missing(root, "deploy/drills/scenarios/{}.py", names.split()),
        MODULE: lambda name: _unknown_module(root, name),
        TESTS: lambda path: _missing(root, "{}", [path]),
        VARIABLE: _not_among("variable", _variables(root)),
    }


def _typed(page: str, text: str) -> Iterator[tuple[str, str]]:
    """What a reader may type: inline code, and blocks of shell."""
    for token in MarkdownIt("commonmark").parse(text):
        for child in token.children or ():
            if child.type == "code_inline":
                yield f"{page}:{(token.map or [0])[0] + 1}", child.content
    for block in read_blocks(text, page):
        if code := block.shell():
            yield block.place, code.replace("\\\n", " ")


def _unknown_to_factory(root: Any) -> Look:
    def look(typed: str) -> str:
        words = [word.strip("()\"'`.,:") for word in typed.split()]
        command, depth = root, 0
        while depth < len(words) and words[depth] in getattr(command, "commands", {}):
            command, depth = command.commands[words[depth]], depth + 1
        name, rest = " ".join(["factory", *words[:depth]]), words[depth:]
        if getattr(command, "commands", {}) and rest and rest[0][:1].isalpha():
            return f"{name} has no command {rest[0]}"
        known = {"--help", *(name for one in command.params for name in one.opts)}
        given = [word.partition("=")[0] for word in rest if word.startswith("--")]
        unknown = [option for option in given if option not in known]
        return f"{name} has no option {unknown[0]}" if unknown else ""

    return look


def _not_among(what: str, known: frozenset[str]) -> Look:
    return lambda name: "" if name in known else f"there is no {what} {name}"


def _targets(root: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))


def _variables(root: Path) -> frozenset[str]:
    """Settings, parts of URLs, secrets in files, and what else the template of the env file has."""
    template = parse_env((root / ".env.production").read_text())
    return OTHER_VARIABLES.union(
        (name.upper() for name in Settings.model_fields),
        (name for parts in PARTS.values() for name in parts),
        (f"{name}_FILE" for name in SECRETS),
        (line.name for line in template if line.name),
    )


def _missing(root: Path, path: str, names: Sequence[str]) -> str:
    gone = [path.format(name) for name in names if not (root / path.format(name)).exists()]
    return f"there is no {', '.join(gone)}" if gone else ""


def _unknown_module(root: Path, name: str) -> str:
    path = root / name.replace(".", "/")
    if name.partition(".")[0] not in OURS or path.with_suffix(".py").exists():
        return ""
    return "" if (path / "__main__.py").exists() else f"there is no module {name} that can be run"
