"""`POST /api/jobs/bulk`: thousands of jobs in one request, one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from apiflask import APIBlueprint
from flask import Response, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from api.answers import json_answer
from api.auth import principal, require
from api.body import LONGEST_BODY_BYTES, StrictRequest, parse_json
from api.gateway import gateway
from api.headers import BulkHeaders
from api.one_job import job_request, key_of_request
from api.problems import of_factory_error
from api.schemas.jobs import BulkAnswer
from factory.domain.access import Scope
from factory.errors import InvalidInput
from factory.kinds.request import JobRequest
from factory.pipeline.accept.accepted import StoredAnswer, bulk_json
from factory.pipeline.accept.bulk import Line

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MOST_LINES = 10_000
LONGEST_BULK_BYTES = 16 * 1024 * 1024

blueprint = APIBlueprint("bulk", __name__, tag="Bulk", url_prefix="/api/jobs/bulk")
blueprint.before_request(require(Scope.JOBS))


@blueprint.post("")
@blueprint.input(BulkHeaders, location="headers")
@blueprint.output(BulkAnswer, 202, description="The good lines are stored; the others are named.")
@blueprint.doc(
    operation_id="submit_jobs",
    responses={409: "The first request with this Idempotency-Key is still being answered"},
)
def submit_jobs(headers_data: BulkHeaders) -> Response:
    """Submit many jobs.

    One JSON object a line, each like the body of `POST /api/jobs` and at most 1 MiB long; at most
    10,000 lines and 16 MiB in all. Blank lines are skipped. All good lines are stored together.
    """
    accepted = gateway().bulks.submit(
        principal(),
        _Lines(_read()),
        key=key_of_request(request, headers_data.idempotency_key),
    )
    answer = accepted.body if isinstance(accepted, StoredAnswer) else bulk_json(accepted)
    if not answer["accepted"]:
        nothing = InvalidInput("no line of the body is a job that can be accepted", param="body")
        return of_factory_error(nothing, {"rejected": answer["rejected"]})
    return json_answer(answer, 202)


def _read() -> list[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    assert isinstance(request, StrictRequest)
    request.require_type(*NDJSON)
    request.max_content_length = LONGEST_BULK_BYTES
    numbered = enumerate(request.read_whole().split(b"\n"), start=1)
    lines = [(number, text) for number, text in numbered if text.strip()]
    if len(lines) > MOST_LINES:
        raise RequestEntityTooLarge(f"{len(lines)} lines; send at most {MOST_LINES} at a time")
    return lines


class _Lines(Sequence[Line]):
    """The lines, each parsed only when it is asked for: the first are written by then."""

    def __init__(self, texts: list[tuple[int, bytes]]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Line: ...
    @overload
    def __getitem__(self, place: slice) -> list[Line]: ...
    def __getitem__(self, place: int | slice) -> Line | list[Line]:
        if isinstance(place, slice):
            return [_line(*numbered) for numbered in self._texts[place]]
        return _line(*self._texts[place])


def _line(number: int, text: bytes) -> Line:
    try:
        return Line(number, _request(text))
    except InvalidInput as error:
        return Line(number, error)


def _request(text: bytes) -> JobRequest:
    if len(text) > LONGEST_BODY_BYTES:
        raise InvalidInput(f"the line is longer than {LONGEST_BODY_BYTES} bytes")
    try:
        return job_request(parse_json(text))
    except BadRequest as error:
        raise InvalidInput(error.description or "malformed JSON") from None
