"""Postgres and Redis, by their exporters."""

from __future__ import annotations

from deploy.monitoring.grafana.board import Board, Query, Row, graph, number

RATE = "[$__rate_interval]"
HIT = f"sum by (instance) (rate(pg_stat_database_blks_hit{RATE}))"
READ = f"sum by (instance) (rate(pg_stat_database_blks_read{RATE}))"
OURS = '{datname!~"template.*|"}'
COMMITS = f"rate(pg_stat_database_xact_commit{OURS}{RATE})"
USED = "sum by (instance) (pg_stat_database_numbackends)"
MOST = "max by (instance) (pg_settings_max_connections)"

BOARD = Board(
    "agent-factory-data",
    "Agent Factory / Postgres and Redis",
    (
        Row(
            "Now",
            (
                number("Postgres", "short", "min(pg_up)", "1: it answers."),
                number("Redis", "short", "min(redis_up)", "1: it answers."),
                number("Connections", "percentunit", f"max({USED} / {MOST})"),
                number("Cache hits", "percentunit", f"min({HIT} / ({HIT} + {READ}))"),
                number("Broker memory", "bytes", "sum(redis_memory_used_bytes)"),
                number(
                    "Evicted keys", "short", "sum(redis_evicted_keys_total)", "The broker's is 0."
                ),
            ),
        ),
        Row(
            "Postgres",
            (
                graph(
                    "Time of a statement",
                    "s",
                    Query(
                        f"sum by (instance) (rate(agent_factory_statements_seconds_total{RATE}))"
                        f" / sum by (instance) (rate(agent_factory_statements_calls_total{RATE}))",
                        "{{instance}} mean",
                    ),
                    text="Of pg_stat_statements.",
                ),
                graph(
                    "Slow statements",
                    "short",
                    Query("agent_factory_slow_statements", "running for over a second"),
                    Query("agent_factory_slowest_seconds", "the longest, s"),
                ),
                graph(
                    "Connections",
                    "short",
                    Query(f"sum by (datname) (pg_stat_database_numbackends{OURS})", "{{datname}}"),
                    Query(MOST, "max_connections"),
                ),
                graph(
                    "Cache hits",
                    "percentunit",
                    Query(f"{HIT} / ({HIT} + {READ})", "{{instance}}"),
                    text="Below 0.99 the working set is larger than shared_buffers.",
                ),
                graph(
                    "Transactions a second",
                    "ops",
                    Query(f"sum by (datname) ({COMMITS})", "{{datname}} committed"),
                    Query(
                        f"sum by (datname) (rate(pg_stat_database_xact_rollback{OURS}{RATE}))",
                        "{{datname}} rolled back",
                    ),
                ),
                graph(
                    "Rows a second",
                    "ops",
                    Query(f"sum(rate(pg_stat_database_tup_inserted{RATE}))", "inserted"),
                    Query(f"sum(rate(pg_stat_database_tup_updated{RATE}))", "updated"),
                    Query(f"sum(rate(pg_stat_database_tup_deleted{RATE}))", "deleted"),
                ),
                graph(
                    "Deadlocks",
                    "short",
                    Query("sum(increase(pg_stat_database_deadlocks[10m]))", "10 min"),
                ),
                graph(
                    "Size",
                    "bytes",
                    Query(f"sum by (datname) (pg_database_size_bytes{OURS})", "{{datname}}"),
                ),
                graph(
                    "Replication lag",
                    "s",
                    Query("pg_replication_lag_seconds or pg_replication_lag", "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Redis",
            (
                graph(
                    "Memory",
                    "bytes",
                    Query("redis_memory_used_bytes", "{{instance}}"),
                    Query(
                        "redis_memory_max_bytes",
                        "{{instance}} may have",
                    ),
                ),
                graph(
                    "Commands a second",
                    "ops",
                    Query(f"rate(redis_commands_processed_total{RATE})", "{{instance}}"),
                ),
                graph(
                    "Clients and blocked clients",
                    "short",
                    Query("redis_connected_clients", "{{instance}}"),
                    Query("redis_blocked_clients", "{{instance}} blocked"),
                ),
            ),
        ),
    ),
)
