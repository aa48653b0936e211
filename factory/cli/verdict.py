"""What the demo found: mismatches in words, and a summary by provider."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.table import Table

from factory.cli.render import dollars, table
from factory.cli.scenario import FAILING_LABEL, LABEL, SCHEMA_LABEL

Job = dict[str, Any]


def find_mismatches(
    jobs: list[Job], ends: dict[str, str], events: dict[str, dict[str, Any]], forged: int
) -> list[str]:
    """What is not as it must be. `ends` names the right state by label, `events` is by job id."""
    wrong = [f"{forged} webhooks had no valid signature"] if forged else []
    for job in jobs:
        label = job["metadata"][LABEL]
        if not job["finished_at"]:
            wrong.append(f"{label} ({job['id']}) is still {job['state']}: the demo's time is over")
            continue
        if job["state"] != ends[label]:
            wrong.append(
                f"{label} ({job['id']}) is {job['state']}, not {ends[label]}: {job['error']}"
            )
        event = events.get(job["id"])
        if event is None:
            wrong.append(f"{label} ({job['id']}): no webhook came")
        elif event["type"] != f"job.{job['state']}":
            wrong.append(f"{label} ({job['id']}): its webhook says {event['type']}")
    return [*wrong, *_content_mismatches({job["metadata"][LABEL]: job for job in jobs})]


def _content_mismatches(by_label: dict[str, Job]) -> Iterable[str]:
    structured = by_label.get(SCHEMA_LABEL)
    if structured and structured["state"] == "succeeded" and not _parsed(structured):
        yield f"{SCHEMA_LABEL}: the answer was not parsed: {structured['result']}"
    refused = by_label.get(FAILING_LABEL)
    if refused and refused["error"] and refused["error"]["type"] != "provider_refused":
        yield f"{FAILING_LABEL}: failed for another reason: {refused['error']}"


def _parsed(job: Job) -> Any:
    return isinstance(job["result"], dict) and job["result"].get("parsed")


def summary_table(jobs: list[Job]) -> Table:
    """Jobs, ends, tokens and cost of each provider."""
    ordered = sorted(jobs, key=lambda job: str(job["provider"]))
    rows = [
        _summary(provider, list(group))
        for provider, group in groupby(ordered, key=lambda job: str(job["provider"]))
    ]
    return table(("provider", "jobs", "ok", "failed", "tokens in+out", "cost"), rows)


def _summary(provider: str, jobs: list[Job]) -> tuple[object, ...]:
    tokens = [sum(job["usage"][f"{way}_tokens"] for job in jobs) for way in ("input", "output")]
    succeeded = sum(1 for job in jobs if job["state"] == "succeeded")
    failed = sum(1 for job in jobs if job["state"] == "failed")
    return provider, len(jobs), succeeded, failed, f"{tokens[0]}+{tokens[1]}", _cost(jobs)


def _cost(jobs: list[Job]) -> str:
    """A sum that lacks a part is not known, and is not shown as if it were."""
    known = [job["cost_usd"] for job in jobs if job["cost_usd"] is not None]
    unknown = len(jobs) - len(known)
    if not known:
        return "unknown"
    return f"{dollars(sum(known))} + {unknown} unknown" if unknown else dollars(sum(known))
