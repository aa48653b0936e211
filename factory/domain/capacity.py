"""What a rate of jobs takes: replicas, connections, memory, and what gives way first.

The arithmetic of "On paper" in docs/performance.md, with the costs of `factory.domain.costs`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from factory.domain.costs import BULK, SINGLE, Costs, total
from factory.errors import InvalidInput

BUSY = 0.7
"""How much of its core a process may use, so that a peak finds room."""
FILLED = 0.8
"""How much of its slots: the share at which a worker's lateness was measured (`worker_overhead_p99_*`)."""
LEAST = 2
"""Replicas of each part that are enough for one to die."""
WORKER_AT_REST_MB = 220.0
"""Of a worker's memory, what its imports take ("Goals that are missed", `worker_memory_single`)."""
GATEWAY_MB, DISPATCHER_MB, EXPORTER_MB = 80.0, 80.0, 70.0
"""Resident memory of a process: 78, 75 and 63 MB in `factory up` after 2,000 jobs."""
READ_CONNECTIONS = 4
"""Of a worker, for searches, beside its pool (`store.reader.THREADS`)."""
OPEN_AT_ONCE = 3
"""Transactions of one process at the same moment: two group commits in turn, and one that reads."""
LEAST_BEHIND_POOLER = 10
RESERVED_CONNECTIONS = 3
"""For superusers, as Postgres keeps them by default."""
FLAT_ROWS = 2_000_000
"""Jobs among the live ones to which each step was measured to stay flat (`flat_*`)."""
BISECTIONS = 50
ARCHIVE_AFTER_S, LEAST_ARCHIVE_AFTER_S = 3600, 60
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the platform, and of what it is to be built. Raises InvalidInput."""

    jobs_per_s: float
    latency_s: float
    bulk: bool = False
    worker_slots: int = 500
    gateway_processes: int = 2
    pool_size: int = 10
    postgres_cores: float = 8.0
    max_connections: int = 100
    wal_mb_per_s: float = 100.0
    """What the log's disk and a replica take; a replica over 1 Gbit/s takes about 100."""
    pgbouncer: bool = False

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if not 0 < value <= most:  # what is no number fails here as well
                raise InvalidInput(
                    f"{name}: {value:g} is not above 0 and up to {most:g}", param=name
                )

    @property
    def costs(self) -> Costs:
        return BULK if self.bulk else SINGLE


MOST: Mapping[str, float] = MappingProxyType(
    {
        "jobs_per_s": 1_000_000,
        "latency_s": 86_400,
        "worker_slots": 100_000,
        "gateway_processes": 1000,
        "pool_size": 1000,
        "postgres_cores": 1024,
        "max_connections": 100_000,
        "wal_mb_per_s": 100_000,
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """Replicas of one part, all of them together: `cores` that they keep busy, connections, memory."""

    name: str
    replicas: int
    processes: int
    cores: float
    connections: int
    memory_mb: float
    decided_by: str


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Something that there is one of: how much of it is needed and there, and what helps."""

    name: str
    needed: float
    there: float
    unit: str
    remedy: str
    at_jobs_per_s: float = math.inf
    """The rate at which all of it is needed."""

    @property
    def share(self) -> float:
        return self.needed / self.there


@dataclass(frozen=True, slots=True)
class Plan:
    """What a demand takes. `ceilings`: what gives way first comes first."""

    demand: Demand
    in_flight: float
    parts: tuple[Part, ...]
    connections: int
    pooled_connections: int
    postgres_cores: float
    valkey_cores: float
    wal_gb_per_day: float
    archive_after_s: int
    ceilings: tuple[Ceiling, ...]

    @property
    def cores(self) -> float:
        """Of all programs and both servers."""
        return sum(one.cores for one in self.parts) + self.postgres_cores + self.valkey_cores

    @property
    def memory_mb(self) -> float:
        """Of all programs, without the servers."""
        return sum(one.memory_mb for one in self.parts)

    @property
    def first(self) -> Ceiling:
        return self.ceilings[0]


def plan(demand: Demand) -> Plan:
    """The arithmetic: each part alone, then what they share."""
    needs = _needs(demand)
    ceilings = (
        replace(one, at_jobs_per_s=_rate_at(demand, place))
        for place, one in enumerate(_ceilings(needs))
    )
    return Plan(
        demand,
        demand.jobs_per_s * demand.latency_s,
        needs.parts,
        needs.connections,
        needs.pooled_connections,
        needs.postgres_cores,
        needs.valkey_cores,
        needs.wal_mb_per_s * DAY_S / 1000,
        _archive_after_s(demand),
        tuple(sorted(ceilings, key=lambda one: one.at_jobs_per_s)),
    )


@dataclass(frozen=True, slots=True)
class Needs:
    """What a demand needs, before it is compared with what there is."""

    demand: Demand
    parts: tuple[Part, ...]
    connections: int
    pooled_connections: int
    postgres_cores: float
    valkey_cores: float
    wal_mb_per_s: float


def _needs(demand: Demand) -> Needs:
    costs, rate = demand.costs, demand.jobs_per_s
    parts = (_gateways(demand), _dispatchers(demand), _workers(demand), _exporter(demand))
    connections = sum(one.connections for one in parts)
    at_once = OPEN_AT_ONCE * sum(one.processes for one in parts)
    return Needs(
        demand,
        parts,
        connections,
        min(connections, max(LEAST_BEHIND_POOLER, at_once)),
        rate * total(costs.postgres_ms) / 1000,
        rate * total(costs.valkey_ms) / 1000,
        rate * total(costs.wal_kb) / 1000,
    )


def _ceilings(needs: Needs) -> tuple[Ceiling, ...]:
    demand = needs.demand
    return (
        Ceiling("Postgres CPU", needs.postgres_cores, demand.postgres_cores, "cores", MORE_CORES),
        Ceiling(
            "Postgres connections",
            needs.pooled_connections if demand.pgbouncer else needs.connections,
            max(1, demand.max_connections - RESERVED_CONNECTIONS),
            "connections",
            HIGHER_MAXIMUM if demand.pgbouncer else POOLER,
        ),
        Ceiling("Postgres log", needs.wal_mb_per_s, demand.wal_mb_per_s, "MB/s", FASTER_LOG),
        Ceiling("Valkey CPU", needs.valkey_cores, 1.0, "cores", BULK_LANES),
    )


def _rate_at(demand: Demand, place: int) -> float:
    """By bisection: replicas are whole, and there are never fewer than two. 0 where these are too much already."""
    low, high = 0.0, MOST["jobs_per_s"]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        asked = replace(demand, jobs_per_s=middle)
        low, high = (middle, high) if _ceilings(_needs(asked))[place].share <= 1 else (low, middle)
    return low


MORE_CORES = "more cores for Postgres; then several installations with the projects divided"
POOLER = "PgBouncer in transaction mode, or a smaller DATABASE_POOL_SIZE"
HIGHER_MAXIMUM = "a higher max_connections, or a smaller pool in PgBouncer"
FASTER_LOG = "a faster disk for the log, and a replica that takes as much"
BULK_LANES = "bulk lanes, whose messages hold up to 32 jobs"


def _gateways(demand: Demand) -> Part:
    cores = demand.jobs_per_s * total(demand.costs.gateway_ms) / 1000
    replicas = max(LEAST, _ceil(cores / BUSY / demand.gateway_processes))
    processes = replicas * demand.gateway_processes
    connections = processes * demand.pool_size
    decided = "cpu" if replicas > LEAST else "availability"
    return Part("gateway", replicas, processes, cores, connections, processes * GATEWAY_MB, decided)


def _dispatchers(demand: Demand) -> Part:
    cores = demand.jobs_per_s * total(demand.costs.dispatcher_ms) / 1000
    replicas = max(LEAST, _ceil(cores / BUSY))
    decided = "cpu" if replicas > LEAST else "availability"
    memory_mb = replicas * DISPATCHER_MB
    connections = replicas * demand.pool_size
    return Part("dispatcher", replicas, replicas, cores, connections, memory_mb, decided)


def _workers(demand: Demand) -> Part:
    cores = demand.jobs_per_s * total(demand.costs.worker_ms) / 1000
    in_flight = demand.jobs_per_s * demand.latency_s
    wanted = {
        "availability": LEAST,
        "cpu": _ceil(cores / BUSY),
        "slots": _ceil(in_flight / (demand.worker_slots * FILLED)),
    }
    decided = max(wanted, key=lambda name: wanted[name])
    replicas = wanted[decided]
    memory_mb = replicas * WORKER_AT_REST_MB + in_flight * total(demand.costs.call_mb)
    connections = replicas * (demand.pool_size + READ_CONNECTIONS)
    return Part("worker", replicas, replicas, cores, connections, memory_mb, decided)


def _exporter(demand: Demand) -> Part:
    """It reads in one transaction a scrape, and so never opens a second connection."""
    return Part("exporter", 1, 1, 0.0, min(1, demand.pool_size), EXPORTER_MB, "availability")


def _archive_after_s(demand: Demand) -> int:
    """The setting that keeps the live rows within what was measured flat; never less than it may be."""
    flat_s = FLAT_ROWS / demand.jobs_per_s - demand.latency_s
    return int(min(ARCHIVE_AFTER_S, max(LEAST_ARCHIVE_AFTER_S, flat_s)))


def _ceil(amount: float) -> int:
    """Rounded up; what is over a whole by an error of floating point is not."""
    return math.ceil(round(amount, 6))
