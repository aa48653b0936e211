"""Every place that has to know an optional field of a job."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import typer

from api.schemas.jobs import JobDetail, ListedJob
from factory.cli.submit import submit
from factory.domain.job import Kind, NewJob, new_id
from factory.domain.job_fields import OPTIONAL, JobField
from factory.domain.lanes import Priority
from factory.kinds.job_json import job_json
from factory.kinds.optional_fields import asked_values
from factory.kinds.request import JobRequest
from factory.store import archive, jobs, moves, successes
from factory.store.all_tables import metadata
from factory.store.codec import told_job
from factory.store.jobs import JobView

ROOT = Path(__file__).parents[2]
VALUES: Mapping[str, Any] = {"uuid": UUID(int=7), "text": "something", "integer": 7}
"""A value of each type."""


def forgotten(name: str, one: JobField) -> list[str]:
    """The places that do not know the field, in words."""
    places = PLACES | (ASKED_PLACES if one.asked else {})
    return [place for place, knows in places.items() if not knows(name, one)]


def named(statement: str, name: str) -> int:
    """How often the statement names it."""
    return len(re.findall(rf"\b{name}\b", statement))


def _has_column(table: str, name: str) -> bool:
    return name in metadata.tables[table].columns


def _migrated(name: str, _: JobField) -> bool:
    texts = [path.read_text() for path in (ROOT / "migrations/versions").glob("*.py")]
    return any(f'"{name}"' in text for text in texts)


def new_job(**optional: Any) -> NewJob:
    """A job with these optional fields."""
    return NewJob(
        id=new_id(),
        project_id=new_id(),
        kind=Kind.COMPLETION,
        provider="openai",
        priority=Priority.NORMAL,
        input={},
        **optional,
    )


def _job(name: str, one: JobField) -> NewJob:
    return new_job(**{name: VALUES[one.sql]} if name in _fields(NewJob) else {})


def _fields(kind: Any) -> set[str]:
    return {one.name for one in fields(kind)}


def _view(name: str, one: JobField) -> JobView:
    return jobs.queued(_job(name, one), datetime.now(UTC))


def _told(name: str, one: JobField) -> Any:
    return getattr(told_job({name: str(VALUES["uuid"])}), name, None)


def _packed(name: str, one: JobField) -> bool:
    return name in json.loads(jobs.packed([_job(name, one)]))[0]


def _taken(name: str, one: JobField) -> bool:
    given = {"model": "openai/gpt", "input": "Hi.", name: VALUES[one.sql]}
    return asked_values(JobRequest.model_construct(**given)).get(name) == VALUES[one.sql]


def _described(name: str, one: JobField) -> bool:
    found = JobRequest.model_fields.get(name)
    return found is not None and found.description == one.asked


def _bounded(name: str, one: JobField) -> bool:
    return one.sql != "text" or "max_length" in one.bounds


def submit_options() -> set[str]:
    """The names of what `factory submit` takes."""
    app = typer.Typer()
    app.command()(submit)
    return {str(option.name) for option in typer.main.get_command(app).params}


def _on_page(page: str, word: str) -> bool:
    return word in (ROOT / "docs/reference" / page).read_text()


Knows = Callable[[str, JobField], bool]
PLACES: Mapping[str, Knows] = {
    "a migration": _migrated,
    "the live table": lambda name, one: _has_column(one.table, name),
    "the table jobs_archive": lambda name, _: _has_column("jobs_archive", name),
    "NewJob": lambda name, _: name in _fields(NewJob),
    "JobView": lambda name, _: name in _fields(JobView),
    "the row that is inserted": _packed,
    "INSERT": lambda name, _: named(jobs.INSERT, name) >= 3,
    "the view of a new job": lambda name, one: (
        getattr(_view(name, one), name, None) == VALUES[one.sql]
    ),
    "LIVE_VIEW": lambda name, _: named(jobs.LIVE_VIEW, name) >= 1,
    "ARCHIVE_VIEW": lambda name, _: named(jobs.ARCHIVE_VIEW, name) >= 1,
    "the move to the archive": lambda name, _: named(archive.MOVE, name) >= 2,
    "the way back": lambda name, _: named(archive.RESTORE, name) >= 2,
    "the end in the archive": lambda name, _: named(successes.FINISH, name) >= 2,
    "the event": lambda name, _: named(moves.FINISH, name) >= 1,
    "the event that is read": lambda name, one: (
        _told(name, one) == (VALUES["uuid"] if one.sql == "uuid" else str(VALUES["uuid"]))
    ),
}
ASKED_PLACES: Mapping[str, Knows] = {
    "bounds": _bounded,
    "JobRequest": _described,
    "what a request gives": _taken,
    "job_json": lambda name, one: job_json(_view(name, one)).get(name) is not None,
    "the schema of a job": lambda name, _: name in JobDetail.model_fields,
    "the schema of a list": lambda name, _: name in ListedJob.model_fields,
    "factory submit": lambda name, _: name in submit_options(),
    "docs/reference/api.md": lambda name, _: _on_page("api.md", f"| `{name}` * |"),
    "docs/reference/cli.md": lambda name, _: _on_page("cli.md", f"--{name.replace('_', '-')} "),
}


def all_forgotten() -> dict[str, list[str]]:
    """For each optional field the places that do not know it, where there are any."""
    found = {name: forgotten(name, one) for name, one in OPTIONAL.items()}
    return {name: places for name, places in found.items() if places}
