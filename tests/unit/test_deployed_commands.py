"""Compose, systemd and the Procfile start the same programs by the same words, but for addresses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from factory.cli.programs import WRITE_S
from factory.config import Settings

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PROGRAMS = {
    "gateway": "gateway-1",
    "dispatcher": "dispatcher",
    "worker": "worker",
    "exporter": "exporter",
    "flower": "flower",
    "migrate": "migrate",
}
PROCFILE = {"gateway": "web", "dispatcher": "dispatcher", "worker": "worker", "flower": "flower"}
WHERE = re.compile(r"--(bind|host|address|port|url_prefix|alive-file)[= ]\S+|\$\{\w+:-(\w+)\}")


def words(text: str) -> list[str]:
    return shlex.split(WHERE.sub(r"\2", text))


def unit(name: str) -> dict[str, str]:
    """Its assignments; of a name that comes twice, the last."""
    [file] = [*UNITS.glob(f"agent-factory-{name}.service"), *UNITS.glob(f"*-{name}@.service")]
    lines = (line.partition("=") for line in file.read_text().splitlines())
    return {name: value for name, equals, value in lines if equals}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_unit_starts_what_compose_starts(name: str) -> None:
    program, _, rest = unit(name)["ExecStart"].partition(" ")
    started = f"{Path(program).name} {rest}"
    assert words(started) == words(shlex.join(SERVICES[PROGRAMS[name]]["command"]))


@pytest.mark.parametrize("name", PROCFILE)
def test_the_procfile_starts_what_compose_starts(name: str) -> None:
    line = re.search(f"^{PROCFILE[name]}: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert line
    assert words(line[1]) == words(shlex.join(SERVICES[PROGRAMS[name]]["command"]))


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"migrate"}))
def test_every_unit_is_held_as_tightly(name: str) -> None:
    kept = ("User", "NoNewPrivileges", "ProtectSystem", "SystemCallFilter", "CapabilityBoundingSet")
    assert [unit(name)[one] for one in kept] == [unit("worker")[one] for one in kept]
    assert unit(name)["Restart"] == "always"


def test_the_target_wants_every_program() -> None:
    wanted = (UNITS / "agent-factory.target").read_text()
    assert [name for name in PROGRAMS if f"agent-factory-{name}" not in wanted] == []


def test_a_stop_waits_for_the_longest_call_and_for_waiting_clients() -> None:
    call_s = Settings.model_fields["call_timeout_s"].default + WRITE_S
    assert SERVICES["worker"]["stop_grace_period"] == "6m"
    assert unit("worker")["TimeoutStopSec"] == "6min"
    assert call_s < 360
    assert SERVICES["gateway-1"]["stop_grace_period"] == "45s"
    assert unit("gateway")["TimeoutStopSec"] == "45"
