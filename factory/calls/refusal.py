"""Why the gate does not let a call pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from factory.errors import FactoryError, RateLimited
from factory.llm.catalog import Model


class Reason(StrEnum):
    """Which step of the gate refused."""

    NO_CREDENTIAL = "no_credential"
    JOB_CAP = "job_cap"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason, and the error that the attempt ends with."""

    reason: Reason
    error: FactoryError

    @property
    def wait_s(self) -> float | None:
        """When asking again can help; None where waiting cannot."""
        return self.error.retry_after_s if isinstance(self.error, RateLimited) else None


def cooling_down(model: Model, left_s: float) -> Refusal:
    """A provider answered another call of the model with 429, and named a wait that is not over."""
    message = f"{model.id} is not called for another {left_s:.1f} s: its provider named that wait"
    error = RateLimited(message, provider=model.provider, retry_after_s=left_s)
    return Refusal(Reason.RATE_LIMITED, error)
