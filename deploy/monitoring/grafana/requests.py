"""What callers see: requests, latency, errors, connections, budgets."""

from __future__ import annotations

from deploy.monitoring.grafana.board import Board, Query, Row, graph, number, quantiles

CALLS = '{route!~"/health|/ready"}'
ERRORS = "job:http_request_errors:ratio_rate"
SLOW = "job:http_requests_slow:ratio_rate"

BOARD = Board(
    "agent-factory-requests",
    "Agent Factory / Requests",
    (
        Row(
            "Now",
            (
                number("Requests", "reqps", "job:http_requests:rate5m"),
                number("Errors", "percentunit", f"{ERRORS}5m", "5xx of all requests."),
                number("Slow", "percentunit", f"{SLOW}5m", "Over half a second."),
                number("In flight", "short", "sum(http_requests_in_flight)"),
                number("Gateways", "short", 'count(up{job="agent-factory"} == 1)'),
                number("Public address", "short", "min(probe_success)", "1: it answers."),
            ),
        ),
        Row(
            "Requests",
            (
                graph(
                    "Requests a second",
                    "reqps",
                    Query(
                        f"sum by (route) (rate(http_requests_total{CALLS}[$__rate_interval]))",
                        "{{route}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Response time",
                    "s",
                    *quantiles("http_request_duration_seconds", where=CALLS),
                    text="From a whole request to its answer. Requests that wait for a job are left out.",
                ),
                graph(
                    "Response time by route, p95",
                    "s",
                    Query(
                        "histogram_quantile(0.95, sum by (le, route) "
                        f"(rate(http_request_duration_seconds_bucket{CALLS}[$__rate_interval])))",
                        "{{route}}",
                    ),
                ),
                graph(
                    "Errors",
                    "reqps",
                    Query(
                        'sum by (status) (rate(http_requests_total{status=~"[45].."}[$__rate_interval]))',
                        "{{status}}",
                    ),
                    text="429: limits. 499: the client went away. 503: back-pressure, or Postgres is away.",
                ),
                graph(
                    "Active connections",
                    "short",
                    Query("sum by (instance) (http_connections)", "{{instance}}"),
                    Query("sum(http_requests_waiting)", "wait for a job"),
                    Query("sum(http_requests_in_flight)", "in flight"),
                ),
                graph(
                    "Connections to Postgres",
                    "short",
                    Query("sum by (instance) (database_pool_used)", "{{instance}} used"),
                    Query("sum by (instance) (database_pool_size)", "{{instance}} may have"),
                ),
            ),
        ),
        Row(
            "Objectives",
            (
                graph(
                    "Requests that fail",
                    "percentunit",
                    *(Query(f"{ERRORS}{span}", span) for span in ("1h", "6h", "1d", "3d")),
                    text="0.1 % over 30 days may fail.",
                ),
                graph(
                    "Requests over half a second",
                    "percentunit",
                    *(Query(f"{SLOW}{span}", span) for span in ("1h", "6h", "1d", "3d")),
                    text="5 % over 30 days may be.",
                ),
                graph(
                    "The certificate ends in",
                    "s",
                    Query("probe_ssl_earliest_cert_expiry - time()", "{{instance}}"),
                ),
            ),
        ),
    ),
)
