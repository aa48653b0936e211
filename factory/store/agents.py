"""Agents and their versions. A version never changes; the agent points at its active one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factory.domain.job import new_id
from factory.store.database import Tx, as_json, rows, run


@dataclass(frozen=True, slots=True)
class ActiveAgent:
    """An agent's name, active version and that version's spec."""

    name: str
    version: int
    spec: dict[str, Any]


ACTIVE = """
SELECT a.name, v.version, v.spec FROM agents a
  JOIN agent_versions v ON v.agent_id = a.id AND v.version = a.active_version
 WHERE a.retired_at IS NULL
"""


def find(tx: Tx, name: str) -> ActiveAgent | None:
    """The agent of that name."""
    found = rows(tx, ACTIVE + " AND a.name = %(name)s", {"name": name})
    return ActiveAgent(**found[0]._asdict()) if found else None


def listed(tx: Tx) -> list[ActiveAgent]:
    """All agents that jobs may name, by name."""
    return [ActiveAgent(**row._asdict()) for row in rows(tx, ACTIVE + " ORDER BY a.name")]


ENSURE = """
INSERT INTO agents (id, name, file, active_version) VALUES (%(id)s, %(name)s, %(file)s, 0)
ON CONFLICT (name) DO UPDATE SET file = excluded.file, retired_at = NULL RETURNING id, active_version
"""
NEW_VERSION = """
INSERT INTO agent_versions (agent_id, version, spec, spec_hash)
SELECT %(agent_id)s, coalesce(max(version), 0) + 1, CAST(%(spec)s AS jsonb), %(spec_hash)s
  FROM agent_versions WHERE agent_id = %(agent_id)s
RETURNING version
"""
SAME = """
SELECT 1 FROM agent_versions
 WHERE agent_id = %(agent_id)s AND version = %(version)s AND spec_hash = %(spec_hash)s
"""


def register(
    tx: Tx, name: str, spec: dict[str, Any], spec_hash: str, file: str | None = None
) -> int:
    """Makes this spec the agent's active version; a new version only when it differs.

    `file` is the name of the file that it comes from.
    """
    agent = rows(tx, ENSURE, {"id": str(new_id()), "name": name, "file": file})[0]
    params = {
        "agent_id": str(agent.id),
        "version": agent.active_version,
        "spec": as_json(spec),
        "spec_hash": spec_hash,
    }
    if rows(tx, SAME, params):
        return int(agent.active_version)
    version = int(rows(tx, NEW_VERSION, params)[0].version)
    activate = "UPDATE agents SET active_version = %(version)s WHERE id = %(agent_id)s"
    run(tx, activate, {"version": version, "agent_id": str(agent.id)})
    return version


IS_ACTIVE = """
SELECT FROM agents a
  JOIN agent_versions v ON v.agent_id = a.id AND v.version = a.active_version
 WHERE a.name = %(name)s AND a.file = %(file)s AND a.retired_at IS NULL
   AND v.spec_hash = %(spec_hash)s
"""


def is_active(tx: Tx, name: str, spec_hash: str, file: str) -> bool:
    """Whether this spec of this file is the agent's active one."""
    return bool(rows(tx, IS_ACTIVE, {"name": name, "spec_hash": spec_hash, "file": file}))


def names_of_files(tx: Tx) -> list[str]:
    """The agents that came from files and are not retired."""
    found = rows(tx, "SELECT name FROM agents WHERE file IS NOT NULL AND retired_at IS NULL")
    return [row.name for row in found]


RETIRE = """
UPDATE agents SET retired_at = now() WHERE name = ANY(%(names)s) AND retired_at IS NULL
"""


def retire(tx: Tx, names: Sequence[str]) -> None:
    """New jobs may not name these agents; accepted ones go on. Registering an agent again brings it back."""
    run(tx, RETIRE, {"names": list(names)})
