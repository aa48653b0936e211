"""Request headers that calls understand, as OpenAPI shows them."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

# https://www.w3.org/TR/trace-context/#traceparent-header, version 00; ids of zeros are invalid.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class WaitHeaders(BaseModel):
    """How long the caller is ready to wait."""

    prefer: str = Field(
        "",
        description="`wait=N` holds the request until the job ends, for at most N seconds (60 at "
        "most); then `Preference-Applied` says so. A busy gateway may answer at once instead.",
        examples=["wait=30"],
    )


class ReadHeaders(WaitHeaders):
    """Headers of the read of one job."""

    if_none_match: str = Field(
        "", description="The `ETag` of an earlier answer: 304 while the job is still the same."
    )


class BulkHeaders(BaseModel):
    """Headers of a write that may be sent again."""

    idempotency_key: str | None = Field(
        None,
        description="The same key with the same body gives the first answer, for at least 24 hours; "
        "with another body it is refused.",
    )


class SubmitHeaders(WaitHeaders, BulkHeaders):
    """Headers of a submission."""

    traceparent: str = Field(
        "", description="W3C trace context: the job and its calls continue this trace."
    )

    @property
    def trace(self) -> str | None:
        """The trace context, or None where it is missing or malformed."""
        return self.traceparent if TRACEPARENT.fullmatch(self.traceparent) else None
