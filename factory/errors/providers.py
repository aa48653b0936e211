"""How a call to a provider fails."""

from __future__ import annotations

from factory.errors.jobs import JobFailure


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
    """429. Waiting is not failing: the job is deferred and no attempt is spent.

    `holds_all` is False where the limit has room left for smaller calls: the wait is this one's alone.
    """

    holds_all = True

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
