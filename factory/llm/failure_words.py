"""The codes and phrases by which failures are told apart: those of each provider's file, and common ones."""

from __future__ import annotations

import re
from collections.abc import Iterable

from factory.providers import PROVIDERS
from factory.providers.provider import Failures

AZURE = Failures(
    filtered=frozenset({"content_filter"}),
    filtered_words=("content management policy", "content policy", "responsible ?ai"),
)
KNOWN = (AZURE, *(one.failures for one in PROVIDERS))
"""All providers' words are tried on every answer: gateways and routers pass on the errors of others."""


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


NO_CREDIT = frozenset(code for one in KNOWN for code in one.no_credit)
NO_CREDIT_STATUSES = frozenset(code for one in KNOWN for code in one.no_credit_statuses)
WRONG_KEY = frozenset(code for one in KNOWN for code in one.wrong_key)
OVERLOADED_STATUSES = frozenset({503, *(code for one in KNOWN for code in one.overloaded_statuses)})
CONTEXT_CODES = frozenset(code for one in KNOWN for code in one.too_long)
CONTEXT_WORDS = _pattern(word for one in KNOWN for word in one.too_long_words)
FILTER_CODES = frozenset(code for one in KNOWN for code in one.filtered)
FILTER_WORDS = _pattern(word for one in KNOWN for word in one.filtered_words)
SPOILED = frozenset(code for one in KNOWN for code in one.spoiled)
MISSING_WORDS = tuple(word for one in KNOWN for word in one.missing_words)
STATUS_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), status)
    for words, status in (
        (CONTEXT_WORDS.pattern, 400),
        *((word, 404) for word in MISSING_WORDS),
        (r"insufficient_quota|rate.?limit|too many requests|resource_exhausted|quota", 429),
        (r"overloaded|unavailable|capacity|try again later", 503),
        (r"authentication|unauthorized|unauthenticated|invalid.api.?key|api_key_invalid", 401),
        (r"permission|forbidden", 403),
        (r"timeout|timed out|deadline_exceeded", 408),
        (r"not_found|not found|does not exist", 404),
        (r"invalid_request|invalid_argument|bad request", 400),
        (r"context.length|content_filter|content_policy|moderation|prompt is too long", 400),
    )
)
"""The status for an error that has none: by the first word that is found in its code, or else in its message."""
PASSING_WORDS = re.compile(
    r"too many requests|rate.?limit|overloaded|service unavailable|bad gateway|gateway time-?out",
    re.IGNORECASE,
)
