"""Access tokens: JWTs that say who somebody is for half an hour (RFC 7519, 8725, 9068)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID, uuid4

import jwt

from factory.accounts.signing import SigningKeys

VALID_S = 30 * 60
LEEWAY_S = 5
"""How much clocks of gateways may differ."""
ALGORITHM = "HS256"
TYPE = "at+jwt"
ISSUER = "agent-factory"
AUDIENCE = "agent-factory-api"
CLAIMS = ("sub", "sid", "iat", "exp", "jti", "iss", "aud")
LONGEST = 1024
"""Characters; ours have about 430."""


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a token is for, and which login it comes from."""

    user_id: UUID
    session_id: UUID


def issue(keys: SigningKeys, access: Access, now: float | None = None) -> str:
    """A token, signed with the current key."""
    name, key = next(iter(keys.access.items()))
    at = int(time.time() if now is None else now)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(access.user_id),
        "sid": str(access.session_id),
        "iat": at,
        "exp": at + VALID_S,
        "jti": uuid4().hex,
    }
    return jwt.encode(claims, key, ALGORITHM, headers={"typ": TYPE, "kid": name})


def read(keys: SigningKeys, token: str) -> Access | None:
    """Whom a token of ours that has not expired is for; None for any other text."""
    if len(token) > LONGEST:
        return None
    try:
        key = keys.access.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            return None
        found = jwt.decode_complete(
            token,
            key,
            # Never what the token names (RFC 8725, 3.1).
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_S,
            options={"require": list(CLAIMS), "strict_aud": True},
        )
        claims = found["payload"]
        access = Access(UUID(claims["sub"]), UUID(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
        return None
    return access if found["header"].get("typ") == TYPE else None
