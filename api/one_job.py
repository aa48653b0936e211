"""A job submitted or read, once it is known who asks: what Flask's views and `api.direct` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Request, Response
from pydantic import ValidationError

from api.answers import job_answer
from api.gateway import Gateway
from api.headers import SubmitHeaders
from api.problems import invalid_input, of_factory_error
from api.rendered import detail_json
from factory.domain.principal import Principal
from factory.errors import Gone, NotFound
from factory.kinds.job_json import job_json
from factory.kinds.request import JobRequest
from factory.pipeline.accept.accepted import StoredAnswer
from factory.pipeline.accept.submit import IdempotencyKey, idempotency_key, submit
from factory.store.details import JobDetail

GONE = "the job's input and result have been removed"


def job_request(body: Any) -> JobRequest:
    """What a body asks for. Raises InvalidInput."""
    try:
        return JobRequest.model_validate(body)
    except ValidationError as error:
        raise invalid_input(error) from None


def accepted_json(
    here: Gateway, who: Principal, asked: Request, job: JobRequest, headers: SubmitHeaders
) -> Mapping[str, Any]:
    """The job that this request makes, or made before."""
    key = key_of_request(asked, headers.idempotency_key)
    accepted = submit(here.intake, who, job, key=key, traceparent=headers.trace)
    return accepted.body if isinstance(accepted, StoredAnswer) else job_json(accepted)


def key_of_request(asked: Request, key: str | None) -> IdempotencyKey | None:
    """The caller's key for this body at this path: the same text elsewhere is another request."""
    if key is None:
        return None
    return idempotency_key(key, asked.path.encode() + b"\n" + asked.get_data())


def find(here: Gateway, who: Principal, job_id: UUID) -> JobDetail:
    """The caller's job. Raises NotFound."""
    database, wanted = here.services.database, (who.project_id, job_id)
    job = here.reading.run(database, who, wanted)
    if job is not None and job.omitted:
        job = here.reading_large.run(database, who, wanted)
    if job is None:
        raise NotFound("there is no such job", param="id")
    return job


def shown(job: JobDetail, environ: dict[str, Any]) -> Response:
    """The answer that shows the job, as far as it is kept."""
    if job.expired:
        gone = Gone(GONE, param="id", code="content_expired")
        return of_factory_error(gone, {"job": detail_json(job)})
    return job_answer(detail_json(job), environ=environ)
