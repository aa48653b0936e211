"""Each profile of Postgres is booted and its values are read back; its memory fits the machine that it is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2

from deploy.validate.servers import Cluster, new_cluster
from deploy.validate.tools import Invalid, Tools

PROFILES_GB = (8, 16, 32)
WANTED = {
    "max_connections": "100",
    "shared_buffers": "4GB",
    "effective_cache_size": "12GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "512MB",
    "wal_buffers": "16MB",
    "checkpoint_completion_target": "0.9",
    "max_wal_size": "4GB",
    "min_wal_size": "1GB",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "log_min_duration_statement": "1s",
    "log_line_prefix": "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
}
"""Of the profile for 16 GB."""
SIZES = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem")
WITHOUT_TLS = "SSL"
"""In what a build or a server without TLS says of `hostssl` lines."""


def check(tools: Tools) -> None:
    """Raises Invalid."""
    folder = tools.root / "deploy" / "postgres"
    with new_cluster() as cluster:
        for gb in PROFILES_GB:
            profile = folder / f"postgresql-{gb}gb.conf"
            check_profile(cluster, profile, folder / "pg_hba.conf", gb)


def check_profile(cluster: Cluster, config: Path, hba: Path, gb: int) -> None:
    """Boots one profile. Raises Invalid."""
    with cluster.running(config, hba) as way:
        connection = psycopg2.connect(way)
        try:
            _check_files(connection)
            _check_memory(connection, gb)
            if gb == 16:
                _check_values(connection)
        finally:
            connection.close()


def _check_files(connection: Any) -> None:
    # What this boots it with cannot be applied from the file.
    settings = (
        "SELECT f.name, f.error FROM pg_file_settings f LEFT JOIN pg_settings s USING (name)"
        " WHERE f.error IS NOT NULL AND s.source IS DISTINCT FROM 'command line'"
    )
    lines = "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL"
    for place, reason in [*_ask(connection, settings), *_ask(connection, lines)]:
        if WITHOUT_TLS not in reason:
            raise Invalid(f"{place}: {reason}")


def _check_values(connection: Any) -> None:
    for name, wanted in WANTED.items():
        [(found,)] = _ask(connection, f"SHOW {name}")
        if found != wanted:
            raise Invalid(f"{name} is {found!r}, not {wanted!r}")


def _check_memory(connection: Any, gb: int) -> None:
    """A quarter and three quarters, and room for all connections and all of autovacuum at once."""
    shared, cache, work, maintenance = (_bytes(connection, name) for name in SIZES)
    memory = gb * 2**30
    if (shared, cache) != (memory // 4, memory * 3 // 4):
        raise Invalid(f"shared_buffers and effective_cache_size do not fit {gb} GB")
    [(connections, vacuums)] = _ask(
        connection,
        "SELECT current_setting('max_connections')::int, current_setting('autovacuum_max_workers')::int",
    )
    most = shared + connections * work + vacuums * maintenance
    if most > memory * 3 // 4:
        raise Invalid(f"{most >> 20} MiB in the worst case is too much of {gb} GB")


def _bytes(connection: Any, name: str) -> int:
    [(found,)] = _ask(connection, f"SELECT pg_size_bytes(current_setting('{name}'))")
    return int(found)


def _ask(connection: Any, statement: str) -> Sequence[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return rows
