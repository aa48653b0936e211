"""Errors."""

from __future__ import annotations

from pydantic import Field

from api.schemas.shown import Shown


class ErrorDetail(Shown):
    """An error as OpenAI's clients read it."""

    message: str
    """What is wrong, and what to do about it."""
    type: str = Field(examples=["invalid_request_error"])
    """The kind of error."""
    param: str | None = Field(description="The field that is to blame.", examples=["priority"])
    code: str | None
    """A finer name of the error, where there is one."""


class RejectedLine(Shown):
    """A line of a bulk that was not accepted."""

    line: int = Field(description="Counted from 1; blank lines count.")
    error: ErrorDetail
    """What is wrong with it."""


class Problem(Shown):
    """An error: RFC 9457."""

    type: str
    """Always `about:blank`: the status says it."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong, and what to do about it."""
    error: ErrorDetail
    """The same as OpenAI's clients read it."""
    rejected: list[RejectedLine] | None = Field(
        None, description="Of a bulk without one good line."
    )
