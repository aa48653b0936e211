"""The arithmetic of `factory plan`, held against the page that it was taken from."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from factory.cli.main import create_app
from factory.cli.plan import document
from factory.domain.capacity import Demand, Part, Plan, plan
from factory.domain.costs import BULK, SINGLE, Costs
from factory.errors import InvalidInput

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
ROW = re.compile(r"^\| (\w+) \| ([\d.,]+) (\S+)? ?\|.*\| ([^|]*) \|$", re.MULTILINE)
AGREES = 1.5
"""Machines are noisy: a figure that differs by more has changed, and the plan is to be changed with it."""
GATEWAY_BULK = re.compile(r"([\d.]+) us of CPU a job")


def parts(found: Plan) -> dict[str, Part]:
    return {one.name: one for one in found.parts}


def published() -> dict[str, float]:
    rows = {row[1]: row for row in ROW.finditer(PAGE.read_text())}
    figures = {name: float(row[2].replace(",", "")) for name, row in rows.items()}
    in_note = GATEWAY_BULK.search(rows["gateway_bulk"][4])
    assert in_note
    return {**figures, "gateway_bulk": float(in_note[1]) / 1000}


@pytest.mark.parametrize("costs", [SINGLE, BULK])
def test_every_cost_is_that_of_the_page(costs: Costs) -> None:
    found = published()
    for field in fields(costs):
        for cost in getattr(costs, field.name):
            assert 1 / AGREES <= cost.amount / found[cost.figure] <= AGREES, cost


@pytest.mark.parametrize(
    ("bulk", "gateways", "dispatchers", "workers"), [(True, 1, 2, 14), (False, 14, 8, 20)]
)
def test_ten_thousand_a_second_are_those_of_the_page(
    bulk: bool, gateways: int, dispatchers: int, workers: int
) -> None:
    """`docs/performance.md`, "On paper"; nothing is less than two here, so that one may die."""
    found = parts(plan(Demand(10_000, 1, bulk=bulk, worker_slots=2000, gateway_processes=1)))
    assert found["gateway"].replicas == max(2, gateways)
    assert found["dispatcher"].replicas == max(2, dispatchers)
    assert found["worker"].replicas == workers


def test_long_answers_need_slots_and_short_ones_cores() -> None:
    slow, quick = (parts(plan(Demand(100, s)))["worker"] for s in (60, 0.01))
    assert (slow.decided_by, slow.replicas) == ("slots", math.ceil(100 * 60 / 400))
    assert (quick.decided_by, quick.replicas) == ("availability", 2)
    assert slow.memory_mb == pytest.approx(15 * 220 + 6000 * 0.039)
    assert parts(plan(Demand(10_000, 0.01)))["worker"].decided_by == "cpu"


def test_connections_give_way_first_and_a_pooler_moves_that_to_postgres() -> None:
    alone, pooled = (plan(Demand(5000, 1, pgbouncer=one)) for one in (False, True))
    assert alone.first.name == "Postgres connections"
    assert "PgBouncer" in alone.first.remedy
    assert alone.connections > 3 * alone.pooled_connections
    assert pooled.first.share < alone.first.share
    assert plan(Demand(20_000, 1, pgbouncer=True, max_connections=5000)).first.name in (
        "Postgres CPU",
        "Postgres log",
    )


def test_what_the_first_ceiling_allows_is_where_it_is_full() -> None:
    found = plan(Demand(2000, 1, max_connections=10_000))
    assert found.first.name == "Postgres CPU"
    again = plan(Demand(found.first.at_jobs_per_s, 1, max_connections=10_000))
    assert again.first.share == pytest.approx(1)


def test_what_two_replicas_need_does_not_grow_with_the_first_jobs() -> None:
    few = plan(Demand(1, 1))
    assert few.first.share == pytest.approx(89 / 97)
    full = plan(Demand(few.first.at_jobs_per_s + 1, 1))
    assert next(one for one in full.parts if one.decided_by != "availability").name == "worker"
    assert plan(Demand(1, 1, max_connections=50)).first.at_jobs_per_s == pytest.approx(0, abs=1e-6)


def test_more_jobs_move_to_the_archive_sooner() -> None:
    assert plan(Demand(10, 1)).archive_after_s == 3600
    assert plan(Demand(2000, 1)).archive_after_s == 999
    assert plan(Demand(1_000_000, 1)).archive_after_s == 60


def test_the_log_of_a_day_is_the_pages() -> None:
    assert plan(Demand(10_000, 1)).wal_gb_per_day == pytest.approx(6255, rel=0.01)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jobs_per_s", 0),
        ("jobs_per_s", math.nan),
        ("jobs_per_s", math.inf),
        ("latency_s", -1),
        ("worker_slots", 0),
        ("postgres_cores", 0),
        ("max_connections", 0),
    ],
)
def test_a_wrong_number_is_refused_by_its_name(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=field) as refused:
        Demand(**{"jobs_per_s": 1, "latency_s": 1, field: value})  # type: ignore[arg-type]
    assert refused.value.param == field


def run(*arguments: str) -> None:
    create_app()(["plan", *arguments], standalone_mode=False)


def test_the_command_prints_the_plan_and_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    run("--jobs-per-s", "1000", "--latency-s", "2")
    said = capsys.readouterr().out
    assert "gives way first: Postgres connections" in said
    assert "calls in flight       2,000" in said
    run("--jobs-per-s", "1000", "--latency-s", "2", "--json")
    assert json.loads(capsys.readouterr().out) == document(plan(Demand(1000, 2)))


def test_the_command_demands_both_numbers() -> None:
    with pytest.raises(typer.TyperException, match="latency_s"):
        run("--jobs-per-s", "1")
