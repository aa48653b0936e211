"""What stored JSON means, whichever version wrote it.

Programs of two versions run side by side, and a webhook may wait for days. So an unknown field is ignored, and a
missing one has its default. A document that an older program would misread is written with a higher `v`: a program
whose `VERSION` is lower leaves it to newer ones. No `v` means 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.agent import FIELDS, AgentSpec, parse_spec
from factory.domain.instant import EARLIEST
from factory.domain.job_fields import OPTIONAL
from factory.domain.message import Message, Params, Role
from factory.domain.state import State
from factory.domain.waiting import WaitFor, Waiting
from factory.errors import JobFailure, NewerFormat
from factory.store.jobs import JobView

VERSION = 1
"""The highest that is understood here."""
PARAMS = frozenset(field.name for field in fields(Params))
LISTS = ("stop",)
VIEW = frozenset(field.name for field in fields(JobView))
IDS = ("id", "project_id", *(name for name, one in OPTIONAL.items() if one.sql == "uuid"))
TIMES = ("created_at", "run_at", "started_at", "finished_at")
DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(VIEW),
    "id": UUID(int=0).hex,
    "project_id": UUID(int=0).hex,
    "kind": "completion",
    "lane": "",
    "provider": "",
    "priority": "normal",
    "attempt": 0,
    "max_attempts": 0,
    "deferrals": 0,
    "cancel_requested": False,
    "metadata": {},
    "input_tokens": 0,
    "output_tokens": 0,
    "cached_tokens": 0,
    "unknown_calls": 0,
    "expired": False,
    "state": "",
}


def understood(document: Any) -> Mapping[str, Any]:
    """The document. Raises NewerFormat, or JobFailure if it is no object."""
    if not isinstance(document, Mapping):
        raise JobFailure("the job's stored content is not a JSON object")
    version = document.get("v", 1)
    if not isinstance(version, int) or version > VERSION:
        raise NewerFormat(
            f"the job was written by a newer version (format {version}, known here: {VERSION})"
        )
    return document


def params_of(given: Mapping[str, Any]) -> Params:
    """Raises NewerFormat."""
    known = {name: value for name, value in understood(given).items() if name in PARAMS}
    return Params(**{**known, **{name: tuple(known.get(name) or ()) for name in LISTS}})


def messages_of(job_input: Mapping[str, Any]) -> list[Message]:
    """The messages of a completion's input. Raises NewerFormat, also for an unknown role."""
    try:
        return [
            Message(Role(item["role"]), item["content"])
            for item in understood(job_input)["messages"]
        ]
    except ValueError:
        raise NewerFormat("the job's messages have a role that is not known here") from None


def texts_of(job_input: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(source, text) of an embedding's input. Raises NewerFormat."""
    return [(source, text) for source, text, *_ in understood(job_input)["texts"]]


def told_job(snapshot: Mapping[str, Any]) -> JobView:
    """The job as it ended, from what `store.moves` put into its event. Raises NewerFormat."""
    known = {name: value for name, value in understood(snapshot).items() if name in VIEW}
    values: dict[str, Any] = {**DEFAULTS, **known}
    for name in IDS:
        values[name] = values[name] and UUID(values[name])
    for name in TIMES:
        values[name] = values[name] and _time(values[name])
    for name in ("created_at", "run_at"):
        values[name] = values[name] or values["finished_at"] or EARLIEST
    return JobView(**{**values, "state": State.named(values["state"])})


def wait_document(wait: WaitFor) -> Mapping[str, Any]:
    """As `jobs.waiting_for` holds it. Postgres adds `since`; until when is `run_at`."""
    jobs = None if wait.jobs is None else {"jobs": [str(one) for one in wait.jobs]}
    return {"type": wait.type, **(jobs or {})}


def told_wait(stored: Any) -> Waiting | None:
    """As much of it as is understood: it is only shown. None where a job does not wait, or nobody knows for what."""
    if not isinstance(stored, Mapping) or not isinstance(stored.get("type"), str):
        return None
    since, jobs = stored.get("since"), stored.get("jobs")
    return Waiting(
        stored["type"],
        _time(since) if isinstance(since, str) else None,
        [found for one in jobs if (found := _id(one))] if isinstance(jobs, list) else None,
    )


def _id(text: Any) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _time(text: str) -> datetime | None:
    """None for a time that Postgres knows and Python does not."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def stored_spec(given: Any) -> AgentSpec:
    """An agent's stored spec, which was checked at its registration. Raises InvalidInput, NewerFormat."""
    known = {name: value for name, value in understood(given).items() if name in FIELDS}
    return parse_spec(known)
