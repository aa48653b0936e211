"""Jobs, queues and workers as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

Row = dict[str, Any]
WIDE = 150
NARROW_COLUMNS = 5
STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "waiting": "magenta",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table. Cells are text and never markup, whatever a model or a caller wrote.

    In a narrow terminal all columns are folded but the first: ids are there to be copied.
    """
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return drawn


def jobs_table(jobs: Iterable[Row], width: int | None = None) -> Table:
    """One line a job; what a terminal of 80 columns has no room for is left out there."""
    columns = ("job", "state", "model", "tries", "cost", "lane", "tokens", "created")
    shown = len(columns) if width is None or width >= WIDE else NARROW_COLUMNS
    return table(columns[:shown], (job_cells(job)[:shown] for job in jobs))


def job_cells(job: Row) -> tuple[object, ...]:
    """The cells of a job's line."""
    return (
        job["id"],
        state_text(job["state"]),
        (job["model"] or "-").removeprefix(f"{job['provider']}/"),
        f"{job['attempt']}/{job['max_attempts']}",
        cost_text(job),
        job["lane"],
        tokens_text(job["usage"]),
        moment(job["created_at"]),
    )


def job_line(job: Row) -> str:
    """A job at one moment, in a line of a log."""
    parts = [
        job["id"],
        job["state"],
        job["lane"],
        f"attempt {job['attempt']}/{job['max_attempts']}",
    ]
    if job["deferrals"]:
        parts.append(f"deferred {job['deferrals']} times")
    if job["position"] is not None:
        parts.append(f"position {job['position']}")
    if job["finished_at"]:
        parts += [f"tokens {tokens_text(job['usage'])}", f"cost {cost_text(job)}"]
    if job["error"]:
        parts.append(f"{job['error']['type']}: {job['error']['message']}")
    return "  ".join(parts)


def state_text(state: str) -> Text:
    """The state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def tokens_text(usage: Row) -> str:
    """Input and output tokens, as 12+34."""
    return f"{usage['input_tokens']}+{usage['output_tokens']}"


def cost_text(job: Row) -> str:
    """Dollars; `unknown` for an ended job whose cost nobody knows, `-` before the end."""
    if job["cost_usd"] is not None:
        return dollars(job["cost_usd"])
    return "unknown" if job["finished_at"] else "-"


def dollars(amount: float) -> str:
    """With as many digits as micro-dollars have."""
    return f"${amount:.6f}"


def result_text(job: Row) -> str:
    """A completion's text; any other result as JSON."""
    result = job["result"]
    if isinstance(result, dict) and isinstance(result.get("text"), str):
        text: str = result["text"]
        return text
    return json.dumps(result, ensure_ascii=False, indent=2)


def moment(text: str) -> str:
    """A time of the API to the second, in UTC."""
    return text[:19].replace("T", " ")
