"""Machines, containers, disks, network, backups."""

from __future__ import annotations

from deploy.monitoring.grafana.board import Board, Query, Row, graph, number

RATE = "[$__rate_interval]"
DISKS = '{fstype!~"tmpfs|ramfs|squashfs"}'
LINES = '{device!~"lo|veth.*"}'
IDLE = f'rate(node_cpu_seconds_total{{mode="idle"}}{RATE})'
CONTAINERS = '{namespace="agent-factory", container!=""}'

BOARD = Board(
    "agent-factory-machines",
    "Agent Factory / Machines",
    (
        Row(
            "Now",
            (
                number("CPU", "percentunit", f"1 - avg({IDLE})"),
                number(
                    "Memory",
                    "percentunit",
                    "max(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
                ),
                number(
                    "Fullest disk",
                    "percentunit",
                    f"max(1 - node_filesystem_avail_bytes{DISKS} / node_filesystem_size_bytes{DISKS})",
                ),
                number("Targets down", "short", "count(up == 0) or vector(0)"),
                number(
                    "Last backup",
                    "s",
                    "time() - max(backup_last_success_timestamp_seconds)",
                ),
                number("Alerts", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
            ),
        ),
        Row(
            "Machines",
            (
                graph(
                    "CPU", "percentunit", Query(f"1 - avg by (instance) ({IDLE})", "{{instance}}")
                ),
                graph(
                    "Memory",
                    "bytes",
                    Query(
                        "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes",
                        "{{instance}} used",
                    ),
                    Query("node_memory_MemTotal_bytes", "{{instance}} has"),
                ),
                graph("Load", "short", Query("node_load5", "{{instance}}, 5 min")),
                graph(
                    "Disk space",
                    "percentunit",
                    Query(
                        f"1 - node_filesystem_avail_bytes{DISKS} / node_filesystem_size_bytes{DISKS}",
                        "{{instance}} {{mountpoint}}",
                    ),
                ),
                graph(
                    "Disk I/O",
                    "Bps",
                    Query(
                        f"sum by (instance) (rate(node_disk_read_bytes_total{RATE}))",
                        "{{instance}} read",
                    ),
                    Query(
                        f"sum by (instance) (rate(node_disk_written_bytes_total{RATE}))",
                        "{{instance}} written",
                    ),
                ),
                graph(
                    "Network",
                    "Bps",
                    Query(
                        f"sum by (instance) (rate(node_network_receive_bytes_total{LINES}{RATE}))",
                        "{{instance}} in",
                    ),
                    Query(
                        f"sum by (instance) (rate(node_network_transmit_bytes_total{LINES}{RATE}))",
                        "{{instance}} out",
                    ),
                ),
            ),
        ),
        Row(
            "Backups and containers",
            (
                graph(
                    "Age of the last backup",
                    "s",
                    Query(
                        "time() - max by (kind) (backup_last_success_timestamp_seconds)",
                        "{{kind}}",
                    ),
                    Query(
                        "time() - max by (kind) (backup_last_verified_timestamp_seconds)",
                        "{{kind}} verified",
                    ),
                    text="Since 1970 where there has never been one. A dump a day, a base a week.",
                ),
                graph(
                    "CPU of pods",
                    "short",
                    Query(
                        f"sum by (pod) (rate(container_cpu_usage_seconds_total{CONTAINERS}{RATE}))",
                        "{{pod}}",
                    ),
                ),
                graph(
                    "Memory of pods",
                    "bytes",
                    Query(
                        f"sum by (pod) (container_memory_working_set_bytes{CONTAINERS})", "{{pod}}"
                    ),
                ),
            ),
        ),
    ),
)
