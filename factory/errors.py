"""One tree of errors: each carries data, and says whether trying again can help.

Nobody parses messages. `api` renders these as problem+json by `type` and `param`, workers decide
retries by `retryable`, the CLI picks its exit code by class.
"""

from __future__ import annotations

from typing import Any


class FactoryError(Exception):
    """Base of all errors that this project raises on purpose."""

    type = "internal_error"
    retryable = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross from child processes, and many have arguments that pickle would not give them."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[FactoryError], args: tuple[Any, ...], content: dict[str, Any]
) -> FactoryError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(content)
    return error


class Misconfigured(FactoryError):
    """A setting is missing or wrong; `param` names the environment variable."""

    type = "misconfigured"


class InvalidInput(FactoryError):
    """The caller sent something well-formed that cannot be accepted; `param` names the field."""

    type = "invalid_request_error"


class Unauthorized(FactoryError):
    """No credential, or one that is wrong, expired or revoked."""

    type = "authentication_error"


class Forbidden(FactoryError):
    """A good credential without the scope that the call needs."""

    type = "permission_error"


class NotFound(FactoryError):
    """No such thing, or it belongs to another project."""

    type = "not_found_error"


class Gone(FactoryError):
    """There was such a thing, and what is asked of it has been removed."""

    type = "gone_error"


class Conflict(FactoryError):
    """The thing is in a state that does not allow the call."""

    type = "conflict_error"


class IdempotencyMismatch(InvalidInput):
    """The key was used before with another body."""


class IdempotencyInFlight(Conflict):
    """The first request with this key has not been answered yet."""

    retryable = True


class Unavailable(FactoryError):
    """Something that the platform needs does not answer now (Postgres, Redis)."""

    type = "service_unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooSlow(Unavailable):
    """What was asked of Postgres took longer than it may. Asking for less at once can help.

    `measured`: Postgres itself ended it, so it was there and had the time. Otherwise it may be frozen.
    """

    def __init__(self, message: str, *, measured: bool, retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.measured = measured


class TooManyQueued(FactoryError):
    """The project has as many jobs queued as it may have."""

    type = "rate_limit_error"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, code="too_many_queued")
        self.retry_after_s = retry_after_s


class JobFailure(FactoryError):
    """Why an attempt of a job did not succeed.

    `completion` (a `domain.message.Completion`): what the provider answered and is paid for. It belongs in the ledger.
    """

    type = "job_failure"
    completion: Any = None


class AttemptBroken(JobFailure):
    """Something that is no error of ours broke an attempt. Another may meet a better moment."""

    type = "internal_error"
    retryable = True


class ResultTooLarge(JobFailure):
    """The answer is larger than what a job may store."""

    type = "result_too_large"

    def __init__(self, message: str, *, completion: Any = None) -> None:
        super().__init__(message)
        self.completion = completion


class WorkerLost(JobFailure):
    """The worker that held the job stopped answering."""

    type = "worker_lost"
    retryable = True


class LeaseLost(JobFailure):
    """The worker may not act on the job any more; whoever holds it now goes on."""

    type = "lease_lost"
    retryable = True


class ReadTooSlow(JobFailure):
    """Postgres did not answer one of the job's questions in the time that a question may take."""

    type = "read_too_slow"
    retryable = True


class NewerFormat(JobFailure):
    """The job was written by a newer version, whose programs will run it: here it only waits."""

    type = "newer_format"
    retryable = True


class PoisonJob(JobFailure):
    """The job killed its workers, and in the end the process in which it ran alone."""

    type = "poison_job"


class WorkTooLong(JobFailure):
    """Work in a process of its own took longer than it may, and would again."""

    type = "work_too_long"


class WorkLost(JobFailure):
    """The process that did a piece of a job's work died or broke."""

    type = "work_lost"
    retryable = True


class DeadlineExceeded(JobFailure):
    """The job's own deadline passed before it finished."""

    type = "deadline_exceeded"


class RestoredFromBackup(JobFailure):
    """An operator gave the job up: it may have ended, and been paid for, after the backup that was restored."""

    type = "restored_from_backup"


class BudgetExceeded(JobFailure):
    """The next call could take the job over its `max_cost_usd`."""

    type = "budget_exceeded"


class UnusableOutput(JobFailure):
    """The model answered, and the job cannot use it."""

    type = "unusable_output"
    fallback_reason: str | None = None
    """What a job's `fallback_on` must name for another model to be asked."""

    def __init__(self, message: str, *, completion: Any = None) -> None:
        super().__init__(message)
        self.completion = completion


class InvalidOutput(UnusableOutput):
    """The model's answer does not match the JSON schema that the job asked for."""

    type = "invalid_output"
    retryable = True


class SchemaUnusable(InvalidOutput):
    """No answer can be held against the schema: it would be the same with the next one."""

    type = "schema_unusable"
    retryable = False


class OutputRefused(UnusableOutput):
    """The model, or a filter before or after it, would not answer. It would not the next time either."""

    type = "output_refused"
    fallback_reason = "refused"


class OutputCut(UnusableOutput):
    """The answer reached its longest length before its JSON was complete, and would again."""

    type = "output_cut"
    fallback_reason = "cut"


class ProviderError(JobFailure):
    """A call to a provider failed. `http_status` is None when no answer arrived.

    `may_be_billed`: the provider may have taken the request and charged for it, and did not say. With a
    `completion` it did say.
    """

    type = "provider_error"
    may_be_billed = False

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.provider = provider
        self.http_status = http_status
        self.retry_after_s = retry_after_s


class RateLimited(ProviderError):
    """429. Waiting is not failing: the job is deferred and no attempt is spent."""

    type = "rate_limited"
    retryable = True


class ProviderOverloaded(ProviderError):
    """503 or 529: the provider sheds load."""

    type = "provider_overloaded"
    retryable = True


class ProviderUnavailable(ProviderError):
    """Another 5xx, or the connection failed before any answer."""

    type = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    """The answer did not arrive in time."""

    type = "provider_timeout"
    may_be_billed = True
    retryable = True


class ProviderCutOff(ProviderError):
    """The connection broke after the request was sent, or the answer was not readable."""

    type = "provider_cut_off"
    may_be_billed = True
    retryable = True


class AnswerTooLarge(ProviderError):
    """The answer's body is longer than what is read of one. It was paid for, and would be again."""

    type = "answer_too_large"
    may_be_billed = True


class Untranslatable(ProviderError):
    """The request cannot be said in this provider's words. It was not sent; another provider may take it."""

    type = "untranslatable"


class ProviderRefused(ProviderError):
    """400, 404, 422: the provider will not take this request, now or later."""

    type = "provider_refused"


class ContextTooLong(ProviderRefused):
    """The input does not fit the model's context window."""

    type = "context_too_long"


class ContentFiltered(ProviderRefused):
    """A filter of the provider stopped the input: a refusal in the form of a 400."""

    type = "content_filtered"
    fallback_reason = "content_filter"


class QuotaExhausted(ProviderRefused):
    """The account has no credit left: a 429 in form, but waiting does not help."""

    type = "quota_exhausted"


class ProviderAuthFailed(ProviderError):
    """401 or 403: the key of this installation is missing, wrong or has no access."""

    type = "provider_auth_failed"


class WebhookFailed(JobFailure):
    """The receiver did not answer 2xx."""

    type = "webhook_failed"
    retryable = True

    def __init__(
        self, message: str, *, http_status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after_s = retry_after_s


class WebhookRefused(JobFailure):
    """The target may not be called (scheme, address), or answered 410 Gone: no retry."""

    type = "webhook_refused"

    def __init__(
        self, message: str, *, code: str | None = None, http_status: int | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.http_status = http_status
