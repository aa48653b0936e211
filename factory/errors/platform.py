"""The root of the tree, and what goes wrong with settings, requests and servers."""

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


class TooManyAttempts(FactoryError):
    """More logins were tried than may be."""

    type = "rate_limit_error"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, code="too_many_attempts")
        self.retry_after_s = retry_after_s


class TooManyQueued(FactoryError):
    """The project has as many jobs queued as it may have."""

    type = "rate_limit_error"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, code="too_many_queued")
        self.retry_after_s = retry_after_s
