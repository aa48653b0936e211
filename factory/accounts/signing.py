"""Keys for the tokens of people, derived from JWT_SECRET_KEY, or from SECRET_KEY where that is not set."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import cached_property

ACCESS = b"access tokens"
HASH = b"hashes of refresh tokens and invitations"
SUCCESSOR = b"the refresh token after this one"
NAME = b"name of the key"
NAME_LETTERS = 16


class SigningKeys:
    """A key for each purpose and secret, the current secret's first. A key reveals nothing of another one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets

    @cached_property
    def access(self) -> dict[str, bytes]:
        """Keys that sign access tokens, by name (`kid`)."""
        return {_derive(s, NAME).hex()[:NAME_LETTERS]: _derive(s, ACCESS) for s in self._secrets}

    def hashes(self, token: str) -> list[str]:
        """Keyed hashes under which a token may be stored; the first is the one to store it under."""
        return [_mac(key, token).hex() for key in self._of(HASH)]

    def hash(self, token: str) -> str:
        """The keyed hash to store."""
        return self.hashes(token)[0]

    def successors(self, secret: str) -> list[bytes]:
        """What may follow a refresh token's secret part. It is derived, so whoever asks twice gets the same one."""
        return [_mac(key, secret) for key in self._of(SUCCESSOR)]

    def _of(self, purpose: bytes) -> list[bytes]:
        return [_derive(secret, purpose) for secret in self._secrets]


def _derive(secret: str, purpose: bytes) -> bytes:
    """HMAC-SHA256 as the expansion of HKDF (RFC 5869): 32 bytes, another key for each purpose."""
    return hmac.digest(secret.encode(), b"agent-factory: " + purpose, hashlib.sha256)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)
