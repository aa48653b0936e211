"""Agent specs in files: one YAML mapping a file, `*.yaml` or `*.yml`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from factory.agents.bounded_yaml import load_yaml
from factory.agents.params import ParamsIn
from factory.domain.agent import AgentSpec, parse_spec
from factory.domain.text import find_nul
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog
from factory.llm.schema import check_schema
from factory.store import agents
from factory.store.database import Tx

ENDINGS = (".yaml", ".yml")
LoadCatalog = Callable[[], Catalog]


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file with a spec that is not checked against the catalog yet."""

    path: Path
    spec: AgentSpec
    given: dict[str, Any]
    digest: str


def agent_paths(directory: Path) -> list[Path]:
    """The directory's agent files, by name; none where there is no such directory."""
    return sorted(path for path in directory.glob("*") if path.suffix in ENDINGS)


def read_agent(path: Path) -> AgentFile:
    """Raises InvalidInput that names file and field."""
    try:
        given = _read(path)
        spec = parse_spec(given)
        if place := find_nul(given):
            raise InvalidInput("holds a NUL character, which cannot be stored", param=place)
        _check_params(spec)
    except InvalidInput as error:
        raise _in_file(path, error) from None
    canonical = json.dumps(given, sort_keys=True)
    return AgentFile(path, spec, given, hashlib.sha256(canonical.encode()).hexdigest())


def register(tx: Tx, found: AgentFile, load_catalog: LoadCatalog) -> bool:
    """Makes the spec its agent's active version; False if it already is. The catalog is loaded only for a new spec.
    Raises InvalidInput that names file and field.
    """
    if agents.is_active(tx, found.spec.name, found.digest, found.path.name):
        return False
    _check_models(found, load_catalog())
    agents.register(tx, found.spec.name, found.given, found.digest, file=found.path.name)
    return True


def register_agents(tx: Tx, catalog: Catalog, directory: Path) -> list[str]:
    """Makes each file of the directory the active version of its agent; their names.

    Retires the agents whose file is not there any more. A directory that does not exist changes nothing. Raises
    InvalidInput that names file and field.
    """
    if not directory.is_dir():
        return []
    found = read_agents(directory)
    for one in found:
        register(tx, one, lambda: catalog)
    names = [one.spec.name for one in found]
    agents.retire(tx, [name for name in agents.names_of_files(tx) if name not in names])
    return names


def read_agents(directory: Path) -> list[AgentFile]:
    """Raises InvalidInput, also for an agent that two files name."""
    found: dict[str, AgentFile] = {}
    for path in agent_paths(directory):
        one = read_agent(path)
        if other := found.get(one.spec.name):
            raise InvalidInput(
                f"{path}: name: {one.spec.name!r} is the agent of {other.path.name} already",
                param="name",
            )
        found[one.spec.name] = one
    return list(found.values())


def _read(path: Path) -> Any:
    try:
        given = load_yaml(path)
        json.dumps(given, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "holds half of a UTF-16 pair, which cannot be stored", param="agent"
        ) from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"not YAML: {_yaml_fault(error)}", param="agent") from None
    except UnicodeDecodeError:
        raise InvalidInput("not YAML: it is not UTF-8", param="agent") from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", param="agent") from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(
            "only texts, numbers, true, false, null, lists and mappings; put dates in quotes",
            param="agent",
        ) from None
    return given


def _yaml_fault(error: yaml.YAMLError) -> str:
    """What is wrong, and in which line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        return f"line {line}, column {column}: {error.problem or error.context}"
    return " ".join(str(error).split())


def _check_params(spec: AgentSpec) -> None:
    """Raises InvalidInput that names the parameter."""
    try:
        ParamsIn.model_validate(spec.params)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["params", *map(str, first["loc"])])
        known = ", ".join(ParamsIn.model_fields)
        unknown = f"there is no such parameter; there are: {known}"
        told = unknown if first["type"] == "extra_forbidden" else first["msg"]
        raise InvalidInput(told, param=place) from None
    if isinstance(schema := spec.params.get("json_schema"), dict):
        check_schema(schema)


def _check_models(found: AgentFile, catalog: Catalog) -> None:
    fields: Sequence[tuple[str, str]] = [
        ("model", found.spec.model),
        *((f"fallbacks[{place}]", name) for place, name in enumerate(found.spec.fallbacks)),
    ]
    for field, name in fields:
        try:
            catalog.find(name)
        except InvalidInput as error:
            raise _in_file(found.path, InvalidInput(error.message, param=field)) from None


def _in_file(path: Path, error: InvalidInput) -> InvalidInput:
    return InvalidInput(f"{path}: {error.param}: {error.message}", param=error.param)
