"""Agents in files: what is registered, refused, picked up while running, and retired."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest

from factory.agents.files import read_agent, register_agents
from factory.agents.watch import AgentFiles
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog, load_catalog
from factory.services import Services
from factory.store import agents

POET = "name: poet\nmodel: openai/gpt-4o-mini\n"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "agents"
    made.mkdir()
    return made


@pytest.fixture
def watch(services: Services, catalog: Catalog, directory: Path) -> AgentFiles:
    return _watch(services, catalog, directory)


def _watch(services: Services, catalog: Catalog, directory: Path) -> AgentFiles:
    settings = services.settings.model_copy(update={"agents_dir": str(directory)})
    return AgentFiles(replace(services, settings=settings), lambda: catalog)


def _versions(services: Services) -> dict[str, int]:
    with services.database.transaction() as tx:
        return {agent.name: agent.version for agent in agents.listed(tx)}


def _register(services: Services, catalog: Catalog, directory: Path) -> list[str]:
    with services.database.transaction() as tx:
        return register_agents(tx, catalog, directory)


BAD = {
    "name: poet\nmodel: openai/gpt-99\n": "model",
    POET + "fallbacks: [openai/gpt-4o, openai/gpt-99]\n": "fallbacks[1]",
    POET + "params: {temprature: 0.2}\n": "params.temprature",
    POET + "params: {temperature: hot}\n": "params.temperature",
    POET + "params: {stop: [a, '']}\n": "params.stop.1",
    POET + "params: {max_tokens: 0}\n": "params.max_tokens",
    POET + "params: {json_schema: {type: [1]}}\n": "params.json_schema",
    POET + "tone: lyrical\n": "tone",
    POET + "system: 2026-01-01\n": "agent",
    POET + 'system: "a\\0b"\n': "system",
    "name: [poet\n": "agent",
    "- poet\n": "agent",
    "": "agent",
}


@pytest.mark.parametrize(("text", "field"), BAD.items())
def test_what_is_wrong_in_a_file_is_named_with_file_and_field(
    services: Services, catalog: Catalog, directory: Path, text: str, field: str
) -> None:
    (directory / "poet.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        _register(services, catalog, directory)
    assert f"poet.yaml: {field}:" in refused.value.message
    assert refused.value.param == field
    assert _versions(services) == {}


def _bomb() -> str:
    """1 KB that names 4 billion values."""
    lines = ["a: &a [l, l, l, l, l, l, l, l, l]"]
    lines += [
        f"{x}: &{x} [{', '.join([f'*{y}'] * 9)}]" for y, x in itertools.pairwise("abcdefghij")
    ]
    return POET + "\n".join(lines)


TOO_MUCH = {
    "aliases of aliases": _bomb(),
    "a long text, often": POET + f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1_000)}]\n",
    "itself": POET + "params: &a {json_schema: *a}\n",
    "values": POET + f"z: [{'a, ' * 300_000}]\n",
    "levels": POET + f"z: {'[' * 5_000}{']' * 5_000}\n",
    "half a pair": POET + 'system: "\\ud800"\n',
}


@pytest.mark.parametrize("text", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_file_that_would_hold_the_dispatcher_is_refused(directory: Path, text: str) -> None:
    (directory / "poet.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"poet\.yaml: agent: "):
        read_agent(directory / "poet.yaml")


def test_aliases_that_stay_small_are_read(directory: Path) -> None:
    (directory / "poet.yaml").write_text(
        POET + "params:\n  json_schema:\n    properties: {a: &text {type: string}, b: *text}\n"
    )
    schema = read_agent(directory / "poet.yaml").given["params"]["json_schema"]
    assert schema["properties"]["b"] == {"type": "string"}


def test_what_is_no_file_is_refused_without_a_look_inside(directory: Path) -> None:
    os.mkfifo(directory / "pipe.yaml")
    (directory / "endless.yaml").symlink_to("/dev/zero")
    (directory / "folder.yaml").mkdir()
    for name in ("pipe", "endless", "folder"):
        with pytest.raises(InvalidInput, match=f"{name}.yaml: agent: is not a regular file"):
            read_agent(directory / f"{name}.yaml")


def test_a_typo_in_a_parameter_is_answered_with_the_names_there_are(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    (directory / "poet.yaml").write_text(POET + "params: {temprature: 0.2}\n")
    with pytest.raises(InvalidInput, match=r"there are: system, temperature"):
        _register(services, catalog, directory)


def test_a_typo_in_yaml_is_answered_with_its_line(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    (directory / "poet.yaml").write_text(POET + "  params: [\n")
    with pytest.raises(InvalidInput) as refused:
        _register(services, catalog, directory)
    line = len(POET.splitlines()) + 1
    assert f"not YAML: line {line}, column " in refused.value.message
    assert "unicode string" not in refused.value.message


def test_one_agent_in_two_files_is_refused(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    (directory / "a.yaml").write_text(POET)
    (directory / "b.yml").write_text(POET)
    with pytest.raises(InvalidInput, match=r"b\.yml: name: 'poet' is the agent of a\.yaml already"):
        _register(services, catalog, directory)


def test_a_file_that_is_gone_at_the_next_start_retires_its_agent(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    (directory / "poet.yaml").write_text(POET)
    (directory / "critic.yaml").write_text(POET.replace("poet", "critic"))
    _register(services, catalog, directory)
    (directory / "critic.yaml").unlink()
    _register(services, catalog, directory)
    assert _versions(services) == {"poet": 1}


def test_a_directory_that_is_not_there_retires_nobody(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    (directory / "poet.yaml").write_text(POET)
    _register(services, catalog, directory)
    _register(services, catalog, directory / "missing")
    assert _versions(services) == {"poet": 1}


def test_an_agent_that_no_file_made_stays(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "critic", {"name": "critic", "model": "openai/gpt-4o"}, "1")
    _register(services, catalog, directory)
    assert _versions(services) == {"critic": 1}


def test_files_are_picked_up_while_running(
    services: Services, watch: AgentFiles, directory: Path
) -> None:
    watch.tick()
    (directory / "poet.yaml").write_text(POET)
    watch.tick()
    assert _versions(services) == {"poet": 1}
    (directory / "poet.yaml").write_text(POET + "system: Rhyme.\n")
    watch.tick()
    watch.tick()
    assert _versions(services) == {"poet": 2}
    (directory / "poet.yaml").unlink()
    watch.tick()
    assert _versions(services) == {}
    (directory / "poet.yaml").write_text(POET + "system: Rhyme.\n")
    watch.tick()
    assert _versions(services) == {"poet": 2}


def test_a_bad_change_leaves_the_agent_as_it_was_and_others_go_on(
    services: Services, watch: AgentFiles, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "poet.yaml").write_text(POET)
    watch.tick()
    (directory / "poet.yaml").write_text(POET + "params: {temprature: 1}\n")
    (directory / "critic.yaml").write_text(POET.replace("poet", "critic"))
    watch.tick()
    assert _versions(services) == {"critic": 1, "poet": 1}
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "poet.yaml: params.temprature" in line


def test_a_file_with_another_name_is_no_end_of_its_agent(
    services: Services, watch: AgentFiles, directory: Path
) -> None:
    (directory / "poet.yaml").write_text(POET)
    watch.tick()
    os.rename(directory / "poet.yaml", directory / "bard.yaml")
    watch.tick()
    assert _versions(services) == {"poet": 1}


def test_who_has_not_seen_a_file_retires_nothing(
    services: Services, catalog: Catalog, watch: AgentFiles, directory: Path, tmp_path: Path
) -> None:
    (directory / "poet.yaml").write_text(POET)
    watch.tick()
    other = tmp_path / "of an older release"
    other.mkdir()
    _watch(services, catalog, other).tick()
    assert _versions(services) == {"poet": 1}


def test_two_programs_that_see_one_change_make_one_version(
    services: Services, catalog: Catalog, directory: Path
) -> None:
    watches = [_watch(services, catalog, directory) for _ in range(2)]
    for text in (POET, POET + "system: Rhyme.\n"):
        (directory / "poet.yaml").write_text(text)
        for one in watches:
            one.tick()
    assert _versions(services) == {"poet": 2}
