"""`/api/jobs`: submit, read, list, cancel, retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from api.answers import job_answer, list_answer
from api.auth import principal, require
from api.gateway import gateway
from api.headers import ReadHeaders, SubmitHeaders
from api.one_job import accepted_json, find, shown
from api.parked import can_park
from api.rendered import detail_json
from api.schemas import jobs as schemas
from api.schemas.jobs import AcceptedHeaders, Job, JobList
from api.traffic import detach
from api.waiting import wait_asked_s
from factory.domain.access import Scope
from factory.domain.job import parse_id
from factory.domain.lanes import all_lanes
from factory.domain.state import State
from factory.kinds.job_json import job_json
from factory.kinds.request import JobRequest
from factory.pipeline.accept import control
from factory.store import listing
from factory.store.details import JobDetail
from factory.store.listing import Filter

blueprint = APIBlueprint("jobs", __name__, tag="Jobs", url_prefix="/api/jobs")
blueprint.before_request(require(Scope.JOBS))

Render = Callable[..., Response]
"""Makes the answer of a job; the second argument is the request's environment where it has left Flask."""

EXAMPLES = {
    "text": {
        "summary": "A question to a model",
        "value": {"model": "openai/gpt-4o-mini", "input": "Name three primes."},
    },
    "messages": {
        "summary": "Messages, a schema for the answer, a limit and a webhook",
        "value": {
            "model": "openai/gpt-4o-mini",
            "input": [{"role": "user", "content": "Where is the Louvre?"}],
            "params": {
                "system": "Answer in JSON.",
                "temperature": 0,
                "json_schema": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
            "priority": "high",
            "max_cost_usd": 0.05,
            "webhook": {"url": "https://example.com/hooks/jobs"},
            "metadata": {"customer": "42"},
        },
    },
}


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    return text


Text = Annotated[str, Field(max_length=500), AfterValidator(_storable)]


class ListQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: int = Field(20, ge=1, le=100)
    """At most so many in a page."""
    after: str | None = Field(
        None, pattern="^job_[0-9a-f]{32}$", description="Only jobs older than this one."
    )
    state: State | None = None
    """Only jobs in this state."""
    lane: Text | None = Field(None, examples=["openai.normal"])
    """Only jobs of this lane."""
    agent: Text | None = None
    """Only jobs that named this agent."""
    model: Text | None = Field(None, examples=["openai/gpt-4o-mini"])
    """Only jobs of this model."""
    metadata: dict[Text, Text] | None = Field(
        None, description="`metadata[key]=value`, as often as needed; all must match."
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_metadata(cls, given: dict[str, Any]) -> dict[str, Any]:
        pairs = {name: value for name, value in given.items() if name.startswith("metadata[")}
        rest = {name: value for name, value in given.items() if name not in pairs}
        keys = {name.removeprefix("metadata[").removesuffix("]"): pairs[name] for name in pairs}
        return {**rest, "metadata": keys} if keys else rest

    @field_validator("lane")
    @classmethod
    def _known_lane(cls, lane: str | None) -> str | None:
        if lane is not None and lane not in all_lanes():
            raise ValueError("no such lane; GET /api/queues names them all")
        return lane


@blueprint.post("")
@blueprint.input(JobRequest, examples=EXAMPLES)
@blueprint.input(SubmitHeaders, location="headers")
@blueprint.output(Job, 202, description="The job is stored and will run.", headers=AcceptedHeaders)
@blueprint.doc(
    operation_id="submit_job",
    responses={
        200: "Waited for: the job has ended",
        409: "The first request with this Idempotency-Key is still being answered",
    },
)
def submit_job(json_data: JobRequest, headers_data: SubmitHeaders) -> Response:
    """Submit a job.

    Answered once the job is on disk: nothing that was answered with 2xx is lost. Poll `Location`,
    wait with `Prefer: wait=N`, or name a `webhook`.
    """
    accepted = accepted_json(gateway(), principal(), request, json_data, headers_data)
    wait_s = wait_asked_s(headers_data.prefer)
    waited = wait_s and _wait(parse_id(accepted["id"]), wait_s, _submitted(wait_s))
    return waited or job_answer(accepted, 202)


def _submitted(wait_s: int) -> Render:
    def render(job: JobDetail, environ: dict[str, Any] | None = None) -> Response:
        status = 200 if job.state.terminal else 202
        return job_answer(detail_json(job), status, _applied(wait_s), environ)

    return render


def _wait(job_id: UUID, wait_s: int, render: Render) -> Response | None:
    """The answer once the job has ended or the time is over; None where nobody can wait."""
    here = gateway()
    if here.parked.open and can_park(request.environ):
        return here.parked.park(principal(), job_id, wait_s, detach(render))
    if here.waiting.hold(principal(), job_id, wait_s):
        g.access.waits = True
        return render(find(here, principal(), job_id))
    return None


def _applied(wait_s: int) -> dict[str, str]:
    return {"Preference-Applied": f"wait={wait_s}"}


@blueprint.get("/<job_id>")
@blueprint.input(ReadHeaders, location="headers")
@blueprint.output(schemas.JobDetail)
@blueprint.doc(
    operation_id="get_job",
    responses={
        304: "The job is still as its ETag says",
        410: "The job's input and result have been removed; `job` holds what is kept",
    },
)
def get_job(job_id: str, headers_data: ReadHeaders) -> Response:
    """Read a job."""
    job = find(gateway(), principal(), parse_id(job_id))
    wait_s = 0 if job.state.terminal or job.expired else wait_asked_s(headers_data.prefer)
    waited = wait_s and _wait(job.id, wait_s, _read(wait_s))
    return waited or shown(job, request.environ)


def _read(wait_s: int) -> Render:
    def render(job: JobDetail, environ: dict[str, Any] | None = None) -> Response:
        return job_answer(detail_json(job), 200, _applied(wait_s), environ)

    return render


@blueprint.get("")
@blueprint.input(ListQuery, location="query")
@blueprint.output(JobList)
@blueprint.doc(operation_id="list_jobs")
def list_jobs(query_data: ListQuery) -> Response:
    """List jobs, newest first. `result` and `error` of old ones have been removed and are null.

    A result of more than 64 KiB is left out: `result` is null and `result_omitted` true. Read it with
    `GET /api/jobs/{id}`.
    """
    chosen = Filter(
        state=query_data.state,
        lane=query_data.lane,
        agent=query_data.agent,
        model=query_data.model,
        metadata=query_data.metadata,
    )
    after = parse_id(query_data.after) if query_data.after else None
    here, who = gateway(), principal()
    with (
        here.lists.take(who.project_id, "lists"),
        here.services.database.autocommit(who) as tx,
    ):
        found = listing.find_listed(
            tx, who.project_id, chosen, limit=query_data.limit + 1, after=after
        )
    page = [
        {**job_json(one.job), "result_omitted": one.result_omitted}
        for one in found[: query_data.limit]
    ]
    return list_answer(page, has_more=len(found) > query_data.limit)


@blueprint.post("/<job_id>/cancel")
@blueprint.output(Job, description="The job is cancelled.")
@blueprint.doc(
    operation_id="cancel_job",
    responses={
        202: "The job runs; its worker will stop it",
        409: "The job has already succeeded or failed",
    },
)
def cancel_job(job_id: str) -> Response:
    """Cancel a job.

    A queued job ends at once. A running one ends within seconds, unless it finishes first.
    """
    job = control.cancel(gateway().services, principal(), parse_id(job_id))
    return job_answer(job_json(job), 200 if job.state.terminal else 202)


@blueprint.post("/<job_id>/retry")
@blueprint.output(Job, 202, description="The job is queued again.", headers=AcceptedHeaders)
@blueprint.doc(
    operation_id="retry_job",
    responses={409: "The job has not failed", 410: "The job's input has been removed"},
)
def retry_job(job_id: str) -> Response:
    """Retry a failed job.

    Its attempts start anew; steps that finished stay and are not paid for again.
    """
    job = control.retry(gateway().services, principal(), parse_id(job_id))
    gateway().intake.wake_up.send()
    return job_answer(job_json(job), 202)
