from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from factory.cli.programs import (
    Addresses,
    Environments,
    Layout,
    plan_programs,
    stop_time_s,
)
from factory.embedded.program import Program

ADDRESSES = Addresses("127.0.0.1", 8001, 9091, 5556, 8090, 8091, 9092)
ENVIRONMENTS = Environments(
    platform={"DATABASE_URL": "postgresql://"},
    providers={"OPENAI_API_KEY": "simulated"},
    flower={"FLOWER_BASIC_AUTH": "factory:pw"},
)


def plan(layout: Layout, addresses: Addresses = ADDRESSES) -> list[Program]:
    return plan_programs(
        layout,
        addresses,
        ENVIRONMENTS,
        Path("home"),
        stop_s=stop_time_s(300.0, None),
        listening=lambda _port: True,
        serving=lambda: True,
    )


def test_the_gateway_starts_last_and_so_stops_first() -> None:
    layout = Layout(workers=2, dispatchers=2, simulator=True)
    assert [program.name for program in plan(layout)] == [
        "simulator",
        "flower",
        "exporter",
        "worker.1",
        "worker.2",
        "dispatcher.1",
        "dispatcher.2",
        "gateway",
    ]


def test_only_workers_hold_the_keys_of_providers() -> None:
    holders = {p.kind for p in plan(Layout(simulator=True)) if "OPENAI_API_KEY" in p.env}
    assert holders == {"worker"}


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    everywhere = replace(ADDRESSES, host="::")
    assert everywhere.api_url == "http://[::1]:8001"
    assert replace(ADDRESSES, host="fd00::1").api_url == "http://[fd00::1]:8001"
    [gateway] = [one for one in plan(Layout(), everywhere) if one.kind == "gateway"]
    assert "--bind=[::]:8001" in gateway.argv


def test_no_password_is_on_a_command_line() -> None:
    assert not any("pw" in part for program in plan(Layout()) for part in program.argv)


def test_without_flower_workers_send_no_events() -> None:
    programs = plan(Layout(flower=False))
    assert "flower" not in {program.name for program in programs}
    assert not any("--events" in program.argv for program in programs)


def test_a_worker_may_finish_the_longest_call_before_it_is_killed() -> None:
    (grace_s,) = {p.stop_grace_s for p in plan(Layout(workers=2)) if p.kind == "worker"}
    assert grace_s > 300


def test_a_worker_that_cuts_its_calls_is_given_time_for_it() -> None:
    assert 25 < stop_time_s(300.0, 25) < 60


def test_a_layout_may_ask_for_a_shorter_stop() -> None:
    (grace_s,) = {p.stop_grace_s for p in plan(Layout(drain_s=5)) if p.kind == "worker"}
    assert grace_s == 5
