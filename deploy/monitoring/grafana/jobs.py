"""Jobs, providers and money."""

from __future__ import annotations

from deploy.monitoring.grafana.board import Board, Query, Row, graph, number, quantiles

RATE = "[$__rate_interval]"

BOARD = Board(
    "agent-factory-jobs",
    "Agent Factory / Jobs and LLM",
    (
        Row(
            "Now",
            (
                number("Queued", "short", 'sum(queue_depth{state="queued"})'),
                number("Running", "short", 'sum(queue_depth{state="running"})'),
                number("Oldest due job", "s", "max(queue_oldest_age_seconds)"),
                number("Workers", "short", "workers_live"),
                number("Cost today", "currencyUSD", "llm_daily_cost_dollars", "Since 00:00 UTC."),
                number("Exporter reads Postgres", "short", "factory_up", "1: it does."),
            ),
        ),
        Row(
            "Jobs",
            (
                graph(
                    "Live jobs",
                    "short",
                    Query("sum by (state) (queue_depth)", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Oldest due job by lane",
                    "s",
                    Query("topk(8, max by (lane) (queue_oldest_age_seconds))", "{{lane}}"),
                    text="How long the next job of a lane has waited. Workers scale on this.",
                ),
                graph(
                    "Ended jobs a second",
                    "ops",
                    Query(f"sum by (state) (rate(jobs_finished_total{RATE}))", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Webhooks a second",
                    "ops",
                    Query(
                        f'sum by (state) (rate(jobs_finished_total{{lane=~"webhook\\\\..+"}}{RATE}))',
                        "{{state}}",
                    ),
                ),
                graph(
                    "Dispatch and rescue",
                    "short",
                    Query(f"rate(dispatch_rounds_total{RATE})", "rounds a second"),
                    Query("increase(leases_expired_total[10m])", "jobs of dead workers, 10 min"),
                    Query("dispatch_held", "held after a restore"),
                ),
                graph(
                    "Blocked loops of workers",
                    "s",
                    Query("increase(worker_loop_blocked_seconds_total[10m])", "blocked, 10 min"),
                    Query("increase(worker_loop_restarts_total[10m])", "restarts, 10 min"),
                    text="Code of a job that does not yield holds up all jobs of its worker.",
                ),
            ),
        ),
        Row(
            "Providers",
            (
                graph(
                    "Latency of calls",
                    "s",
                    *quantiles("llm_request_duration_seconds", by="provider"),
                ),
                graph(
                    "Calls by outcome",
                    "ops",
                    Query(
                        f"sum by (provider, status) (rate(llm_requests_total{RATE}))",
                        "{{provider}} {{status}}",
                    ),
                ),
                graph(
                    "Calls that fail",
                    "percentunit",
                    Query("provider:llm_request_failures:ratio_rate5m", "{{provider}}"),
                ),
                graph(
                    "Model mix",
                    "ops",
                    Query(f"sum by (model) (rate(llm_requests_total{RATE}))", "{{model}}"),
                    stacked=True,
                ),
                graph(
                    "Tokens a second",
                    "short",
                    Query(f"sum by (direction) (rate(llm_tokens_total{RATE}))", "{{direction}}"),
                ),
                graph(
                    "Dollars an hour",
                    "currencyUSD",
                    Query(
                        f"3600 * sum by (model) (rate(llm_cost_dollars_total{RATE}))", "{{model}}"
                    ),
                    stacked=True,
                ),
                graph(
                    "Cost of the day",
                    "currencyUSD",
                    Query("llm_daily_cost_dollars", "since 00:00 UTC"),
                    text="An alert comes at 80 dollars.",
                ),
                graph(
                    "Unknown cost",
                    "short",
                    Query("sum(increase(llm_unknown_cost_calls_total[1h]))", "calls, 1 h"),
                    Query("llm_calls_abandoned", "without an end"),
                    text="Calls that may be billed and whose cost nobody knows.",
                ),
                graph(
                    "Calls a second",
                    "ops",
                    Query("provider:llm_requests:rate5m", "{{provider}}"),
                ),
            ),
        ),
    ),
)
