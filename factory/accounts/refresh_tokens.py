"""Refresh tokens, `afr_<session>_<secret>`, and tokens of invitations, `afi_<secret>`: opaque, good once."""

from __future__ import annotations

import base64
import re
import secrets
from uuid import UUID

from factory.accounts.signing import SigningKeys

SECRET_BYTES = 32
SHAPE = re.compile(r"afr_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
INVITATION = re.compile(r"afi_[A-Za-z0-9_-]{43}")


def first(session_id: UUID) -> str:
    """The refresh token that a login gives."""
    return _token(session_id, secrets.token_bytes(SECRET_BYTES))


def session_of(token: str) -> UUID | None:
    """The session that a token names; None if it has another form."""
    found = SHAPE.fullmatch(token)
    return UUID(found[1]) if found else None


def successors(keys: SigningKeys, token: str) -> list[str]:
    """The token that follows, under each secret in use; the current one's first."""
    found = SHAPE.fullmatch(token)
    assert found
    return [_token(UUID(found[1]), secret) for secret in keys.successors(token)]


def invitation() -> str:
    """A new one."""
    return f"afi_{_text(secrets.token_bytes(SECRET_BYTES))}"


def _token(session_id: UUID, secret: bytes) -> str:
    return f"afr_{session_id.hex}_{_text(secret)}"


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")
