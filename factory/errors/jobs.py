"""Why an attempt of a job did not succeed, but for calls to providers."""

from __future__ import annotations

from typing import Any

from factory.errors.platform import FactoryError


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
