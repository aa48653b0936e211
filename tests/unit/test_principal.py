"""Who asks is named wherever the database is reached."""

from __future__ import annotations

import ast
from pathlib import Path
from uuid import UUID

import pytest

from factory.domain.principal import PLATFORM, Principal, together

ROOT = Path(__file__).parents[2]
PROGRAMS = ("factory", "api", "workers")
ONE, OTHER = UUID(int=1), UUID(int=2)


def _of(*projects: UUID) -> Principal:
    return Principal(frozenset(projects), "key:somebody")


def _calls(method: str) -> list[tuple[str, ast.Call]]:
    """Calls of a method in the programs, each with its place."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for package in PROGRAMS
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
    ]


def test_a_statement_for_several_names_all_of_their_projects() -> None:
    assert together([_of(ONE), _of(OTHER), _of(ONE)]).projects == {ONE, OTHER}


def test_alone_a_caller_stays_who_it_is() -> None:
    assert together([_of(ONE)]) == _of(ONE)


@pytest.mark.parametrize("nobody_in_particular", [PLATFORM, _of(ONE, OTHER)])
def test_only_a_caller_of_one_project_has_a_project(nobody_in_particular: Principal) -> None:
    assert _of(ONE).project_id == ONE
    with pytest.raises(ValueError, match="unpack"):
        _ = nobody_in_particular.project_id


@pytest.mark.parametrize("method", ["transaction", "autocommit"])
def test_every_transaction_of_a_program_says_who_asks(method: str) -> None:
    """Give it the principal that was passed down; what serves all projects gives PLATFORM."""
    calls = _calls(method)
    assert calls
    assert [place for place, call in calls if not call.args] == []


def test_every_statement_passes_where_projects_are_named() -> None:
    """Use `rows` or `run` of `factory.store.database`: they put the naming in front."""
    places = {place.split(":")[0] for place, _ in _calls("exec_driver_sql")}
    assert places == {"factory/store/database.py"}
