"""`factory plan`: what a rate of jobs takes, and what gives way first."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import JsonOption, print_json, print_lines, print_rich

if TYPE_CHECKING:
    from collections.abc import Iterator

    from factory.domain.capacity import Plan

COLUMNS = ("part", "replicas", "processes", "cores", "connections", "memory", "decided by")


def plan(
    jobs_per_s: Annotated[float, typer.Option(help="Jobs a second, while it is busiest.")],
    latency_s: Annotated[float, typer.Option(help="How long a provider takes to answer.")],
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Submitted in bulk, with priority bulk.")
    ] = False,
    worker_slots: Annotated[int, typer.Option(help="WORKER_SLOTS.")] = 500,
    gateway_processes: Annotated[int, typer.Option(help="WEB_CONCURRENCY of a gateway.")] = 2,
    pool_size: Annotated[int, typer.Option(help="DATABASE_POOL_SIZE.")] = 10,
    postgres_cores: Annotated[float, typer.Option(help="Cores that Postgres has.")] = 8.0,
    max_connections: Annotated[int, typer.Option(help="max_connections of Postgres.")] = 100,
    wal_mb_per_s: Annotated[
        float, typer.Option(help="Megabytes a second that its log's disk and a replica take.")
    ] = 100.0,
    pgbouncer: Annotated[
        bool, typer.Option("--pgbouncer", help="Connections go through PgBouncer.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Work out replicas, connections, memory and log for a rate of jobs.

    From the costs that docs/performance.md has measured; it asks no server. With texts as small as
    the benchmark's: larger ones add their own size to Postgres' log and disk.
    """
    from factory.cli.render import table
    from factory.domain.capacity import Demand
    from factory.domain.capacity import plan as work_out

    found = work_out(
        Demand(
            jobs_per_s=jobs_per_s,
            latency_s=latency_s,
            bulk=bulk,
            worker_slots=worker_slots,
            gateway_processes=gateway_processes,
            pool_size=pool_size,
            postgres_cores=postgres_cores,
            max_connections=max_connections,
            wal_mb_per_s=wal_mb_per_s,
            pgbouncer=pgbouncer,
        )
    )
    if as_json:
        print_json(document(found))
        return
    print_rich(table(COLUMNS, (_cells(part) for part in document(found)["parts"])))
    print_lines(["", *_lines(found)])


def document(found: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    return {
        "demand": asdict(found.demand),
        "calls_in_flight": round(found.in_flight, 1),
        "parts": [
            {
                **asdict(part),
                "cores": round(part.cores, 2),
                "memory_mb": round(part.memory_mb),
            }
            for part in found.parts
        ],
        "cores": round(found.cores, 2),
        "memory_mb": round(found.memory_mb),
        "postgres": {
            "cores": round(found.postgres_cores, 2),
            "connections": found.connections,
            "connections_with_pgbouncer": found.pooled_connections,
            "wal_gb_per_day": round(found.wal_gb_per_day, 1),
        },
        "valkey": {"cores": round(found.valkey_cores, 3)},
        "archive_after_s": found.archive_after_s,
        "gives_way": [
            {
                **asdict(one),
                "needed": round(one.needed, 2),
                "share": round(one.share, 3),
                "at_jobs_per_s": round(one.at_jobs_per_s),
            }
            for one in found.ceilings
        ],
        "first": found.first.name,
    }


def _cells(part: dict[str, Any]) -> tuple[object, ...]:
    memory = f"{part['memory_mb'] / 1000:.1f} GB"
    named = (part[name] for name in ("name", "replicas", "processes", "cores", "connections"))
    return (*named, memory, part["decided_by"])


def _lines(found: Plan) -> Iterator[str]:
    share = f"{found.first.share:.0%}"
    yield f"calls in flight       {found.in_flight:,.0f}"
    yield f"CPU                   {found.cores:.1f} cores, all programs and both servers"
    yield f"memory                {found.memory_mb / 1000:.1f} GB, without the servers"
    yield f"Postgres              {found.postgres_cores:.1f} cores"
    yield (
        f"connections           {found.connections}, or {found.pooled_connections} from PgBouncer"
    )
    yield f"write-ahead log       {found.wal_gb_per_day:,.0f} GB a day"
    yield f"Valkey                {found.valkey_cores:.2f} cores"
    yield f"ARCHIVE_AFTER_S       {found.archive_after_s}"
    yield ""
    yield (
        f"gives way first: {found.first.name}, at {found.first.at_jobs_per_s:,.0f} jobs/s;"
        f" {share} used at this rate"
    )
    yield f"what helps: {found.first.remedy}"
