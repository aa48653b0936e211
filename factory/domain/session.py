"""What a refresh token is worth: each is good once, and one that is used again ends its session (RFC 9700, 4.14.2)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(seconds=10)
"""How long the token before the newest still gives the newest: two tabs may refresh at once, an answer may be lost."""


class Verdict(StrEnum):
    """What to do with a refresh token."""

    ROTATE = "rotate"
    """It is the newest: a new one takes its place."""
    REPEAT = "repeat"
    """It was replaced a moment ago: the one that replaced it is given once more."""
    REUSED = "reused"
    """It was replaced before, so two have it: the session ends."""
    ENDED = "ended"
    """Its session is over."""


class Ending(StrEnum):
    """Why a session was ended."""

    LOGOUT = "logout"
    REUSED = "reused"
    PASSWORD = "password"  # noqa: S105 - a reason
    DEACTIVATED = "deactivated"


@dataclass(frozen=True, slots=True)
class RefreshState:
    """A session, as far as it decides about its refresh tokens."""

    token_hash: str
    previous_hash: str | None
    rotated_at: datetime | None
    expires_at: datetime
    ended: bool
    """Whether it was ended, or its user deactivated."""


def judge(state: RefreshState, hashes: Sequence[str], now: datetime) -> Verdict:
    """What the token with these hashes, one for each secret in use, is worth."""
    if state.ended or now >= state.expires_at:
        return Verdict.ENDED
    if _is_one_of(state.token_hash, hashes):
        return Verdict.ROTATE
    recent = state.rotated_at is not None and now - state.rotated_at <= GRACE
    if recent and state.previous_hash and _is_one_of(state.previous_hash, hashes):
        return Verdict.REPEAT
    return Verdict.REUSED


def _is_one_of(stored: str, hashes: Sequence[str]) -> bool:
    return any(hmac.compare_digest(stored, one) for one in hashes)
