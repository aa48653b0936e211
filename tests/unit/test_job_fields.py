"""An optional field of a job is declared once; every place that needs it knows it, or is named here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from api.rendered import detail_json
from api.schemas.jobs import Job
from api.schemas.jobs import JobDetail as ShownDetail
from factory.cli.optional_fields import with_optional_fields
from factory.domain.job_fields import ASKED, OPTIONAL, JobField
from factory.kinds.job_json import job_json
from factory.kinds.request import JobRequest
from factory.store import archive, details, jobs
from factory.store.all_tables import metadata
from factory.store.archive_tables import LIVE
from factory.store.details import JobDetail
from factory.store.jobs import JobView
from tests.unit.job_field_places import (
    ASKED_PLACES,
    PLACES,
    ROOT,
    forgotten,
    named,
    new_job,
    submit_options,
)

DECLARED = "class OptionalFields:\n"
COLOUR = """
    colour: str | None = field(
        default=None, metadata=_stored("text", TABLE, asked="A colour.", max_length=20)
    )
"""
# The module is the declaration's text with a field more; all that is imported after it is made of that.
EXERCISE = """
import json, sys, types
name = "factory.domain.job_fields"
module = sys.modules[name] = types.ModuleType(name)
exec(sys.argv[1], module.__dict__)
from tests.unit.job_field_places import all_forgotten
print(json.dumps(all_forgotten()))
"""


@pytest.mark.parametrize("name", OPTIONAL)
def test_every_place_knows_the_field(name: str) -> None:
    assert forgotten(name, OPTIONAL[name]) == []


def test_a_field_that_is_declared_nowhere_is_missing_everywhere() -> None:
    unbounded = JobField("text", asked="A colour.")
    assert forgotten("colour", unbounded) == [*PLACES, *ASKED_PLACES]


def test_a_declared_field_lacks_only_its_migration_and_the_pages_that_are_made_of_it() -> None:
    left = ["a migration", "docs/reference/api.md", "docs/reference/cli.md"]
    for table in ("jobs", "job_requests"):
        assert _declared_with(COLOUR.replace("TABLE", f'"{table}"')) == {"colour": left}


# What is not optional, or changes its form on the way, is written out; here it is only compared.


def test_each_field_of_a_request_has_an_option() -> None:
    options = submit_options()
    other = {"input": "text", "fallbacks": "fallback"}
    assert [one for one in JobRequest.model_fields if other.get(one, one) not in options] == []


def test_the_values_of_options_come_as_one_argument() -> None:
    heard: list[dict[str, Any]] = []

    @with_optional_fields
    def command(model: str = "", *, optional: dict[str, Any]) -> None:
        heard.append({"model": model, "optional": optional})

    app = typer.Typer()
    app.command()(command)
    CliRunner().invoke(app, ["--model", "m", "--task-id", "7"], catch_exceptions=False)
    CliRunner().invoke(app, [], catch_exceptions=False)
    assert heard == [
        {"model": "m", "optional": {**dict.fromkeys(ASKED), "task_id": "7"}},
        {"model": "", "optional": dict.fromkeys(ASKED)},
    ]


def test_each_field_of_a_view_is_read() -> None:
    for statement in (jobs.LIVE_VIEW, jobs.ARCHIVE_VIEW):
        assert [one.name for one in fields(JobView) if not named(statement, one.name)] == []
    for statement in (details.GET_LIVE, details.GET_ARCHIVED):
        assert [one.name for one in fields(JobDetail) if not named(statement, one.name)] == []


@pytest.mark.parametrize("table", ["jobs", "job_requests"])
def test_each_column_goes_to_the_archive_and_comes_back(table: str) -> None:
    names = {column.name for column in metadata.tables[table].columns} - LIVE
    for statement in (archive.MOVE, archive.RESTORE):
        assert [name for name in sorted(names) if named(statement, name) < 2] == []


def test_a_job_is_shown_as_its_schema_says() -> None:
    view = jobs.queued(new_job(), datetime.now(UTC))
    values = {one.name: getattr(view, one.name) for one in fields(JobView)}
    assert job_json(view).keys() == Job.model_fields.keys()
    assert detail_json(JobDetail(**values)).keys() == ShownDetail.model_fields.keys()


def _declared_with(field: str) -> dict[str, list[str]]:
    """What a process finds missing if the declaration has this text more."""
    text = (ROOT / "factory/domain/job_fields.py").read_text()
    end = text.index("\n\n\nOPTIONAL: ")
    command = [sys.executable, "-c", EXERCISE, text[:end] + field + text[end:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
