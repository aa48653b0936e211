"""Agent specs in files: one YAML mapping a file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from factory.domain.agent import parse_spec
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog
from factory.llm.schema import check_schema
from factory.store import agents
from factory.store.database import Tx


def register_agents(tx: Tx, catalog: Catalog, directory: Path) -> list[str]:
    """Makes each `*.yaml` of the directory the active version of its agent; their names.

    A directory that does not exist has none. Raises InvalidInput that names file and field.
    """
    return [_register(tx, catalog, path) for path in sorted(directory.glob("*.yaml"))]


def _register(tx: Tx, catalog: Catalog, path: Path) -> str:
    given = _read(path)
    try:
        spec = parse_spec(given)
        for model in (spec.model, *spec.fallbacks):
            catalog.find(model)
        if isinstance(schema := spec.params.get("json_schema"), dict):
            check_schema(schema)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.param}: {error.message}", param=error.param) from None
    canonical = json.dumps(given, sort_keys=True)
    agents.register(tx, spec.name, given, hashlib.sha256(canonical.encode()).hexdigest())
    return spec.name


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: not YAML: {error}", param="agent") from None
