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
        return dict(zip(self._names, self._of(ACCESS), strict=True))

    def hashes(self, token: str) -> list[str]:
        """Keyed hashes under which a token may be stored, each behind the name of its key; the first is the one to store
        it under.
        """
        named = zip(self._names, self._of(HASH), strict=True)
        return [f"{name}.{_mac(key, token).hex()}" for name, key in named]

    def hash(self, token: str) -> str:
        """The keyed hash to store."""
        return self.hashes(token)[0]

    def made(self, stored: str) -> bool:
        """Whether a hash was made with a key that is known here."""
        return stored.partition(".")[0] in self._names

    def successors(self, secret: str) -> list[bytes]:
        """What may follow a refresh token's secret part. It is derived, so whoever asks twice gets the same one."""
        return [_mac(key, secret) for key in self._of(SUCCESSOR)]

    @cached_property
    def _names(self) -> list[str]:
        return [key.hex()[:NAME_LETTERS] for key in self._of(NAME)]

    def _of(self, purpose: bytes) -> list[bytes]:
        return [_derive(secret, purpose) for secret in self._secrets]


def _derive(secret: str, purpose: bytes) -> bytes:
    """HMAC-SHA256 as the expansion of HKDF (RFC 5869): 32 bytes, another key for each purpose."""
    return hmac.digest(secret.encode(), b"agent-factory: " + purpose, hashlib.sha256)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)
