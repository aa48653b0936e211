"""The page of errors: made of `factory.errors` and of what the gateway answers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from api.problems import STATUS
from deploy.docs.reference.table import table
from factory.errors import (
    FactoryError,
    JobFailure,
    ProviderError,
    UnusableOutput,
    jobs,
    platform,
    providers,
)

MODULES = (platform, jobs, providers)
BASES = (FactoryError, JobFailure, ProviderError, UnusableOutput)
"""Never raised themselves."""

INTRO = """# Reference: errors

Every error that a client meets is of one tree. `type` is stable and is what programs should look at; messages are for people.
What a provider's answer becomes: [answers](../answers.md).
"""
API = """## Answers of the gateway

`application/problem+json`, with `error: {message, type, param, code}`. `param` names the field that is to blame.
"""
JOBS = """## Why a job failed

In `error` of a job and of its webhook, and as the error of each call in `attempts`. *Retried*: another attempt is made, until
`max_attempts`; a `rate_limited` job waits and spends none.
"""
PROVIDERS = """## What a call to a provider failed of

*May be billed*: the provider may have charged for the call and did not say; its cost is unknown.
"""


def page() -> str:
    """The page's Markdown."""
    found = list(_kinds())
    gateway = [kind for kind in found if not issubclass(kind, JobFailure) and _answered(kind)]
    failures = [
        kind
        for kind in found
        if issubclass(kind, JobFailure) and not issubclass(kind, ProviderError)
    ]
    calls = [kind for kind in found if issubclass(kind, ProviderError)]
    lines = [
        INTRO,
        API,
        *table(("status", "type", "when"), (_answer_row(kind) for kind in gateway)),
        JOBS,
        *table(("type", "retried", "when"), map(_row, failures)),
        PROVIDERS,
        *table(("type", "retried", "may be billed", "when"), map(_provider_row, calls)),
    ]
    return "\n".join(lines)


def _kinds() -> Iterator[type[FactoryError]]:
    """In the order of the code."""
    for module in MODULES:
        classes = (one for one in vars(module).values() if inspect.isclass(one))
        own = (one for one in classes if one.__module__ == module.__name__)
        yield from (one for one in own if issubclass(one, FactoryError) and one not in BASES)


def _answered(kind: type[FactoryError]) -> bool:
    return next(one for one in kind.__mro__ if one in STATUS) is not FactoryError


def _answer_row(kind: type[FactoryError]) -> tuple[str, ...]:
    status = next(STATUS[one] for one in kind.__mro__ if one in STATUS)
    return str(status.value), f"`{kind.type}`", _when(kind)


def _row(kind: type[JobFailure]) -> tuple[str, ...]:
    return f"`{kind.type}`", _yes(kind.retryable), _when(kind)


def _provider_row(kind: type[ProviderError]) -> tuple[str, ...]:
    return f"`{kind.type}`", _yes(kind.retryable), _yes(kind.may_be_billed), _when(kind)


def _when(kind: type[FactoryError]) -> str:
    """The first sentences of its docstring; what speaks of the code's own names stays there."""
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("`param`", "`error.param`")


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
