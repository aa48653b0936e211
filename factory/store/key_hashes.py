"""Keyed hashes of API keys, under the installation's SECRET_KEY and, while it is replaced, under the earlier one.

A key is stored under each of them, by the secret's fingerprint. So gateways with the new secret and those
that still have the old one alone accept the same keys, in whichever order they are restarted.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

FINGERPRINT_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Secrets:
    """The installation's secret, and earlier ones whose keys are still good."""

    current: str
    previous: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (self.current, *self.previous)

    def hashes(self, key: str) -> dict[str, str]:
        """The key's hash under each secret, by fingerprint."""
        return {fingerprint(secret): secret_hash(secret, key) for secret in self.all}

    def oldest_hash(self, key: str) -> str:
        """What programs compare that know only the oldest of the secrets."""
        return secret_hash(self.all[-1], key)

    def know(self, key: str, stored: str, by_fingerprint: Mapping[str, str]) -> bool:
        """Whether one of the secrets made one of the stored hashes of this key; `stored` names no secret."""
        return any(
            hmac.compare_digest(known, by_fingerprint.get(mark, stored))
            for mark, known in self.hashes(key).items()
        )


def secret_hash(secret_key: str, key: str) -> str:
    """HMAC-SHA256 of the whole key: a stolen table is worthless without the installation's secret."""
    return hmac.new(secret_key.encode(), key.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=8)
def fingerprint(secret_key: str) -> str:
    """Tells one secret from another, and tells nothing of it."""
    digest = hmac.digest(secret_key.encode(), b"fingerprint of SECRET_KEY", hashlib.sha256)
    return digest.hex()[:FINGERPRINT_LETTERS]


def secrets_of(secret_key: str, previous: Sequence[str]) -> Secrets:
    """Without an earlier one that is the current one."""
    return Secrets(secret_key, tuple(one for one in previous if one != secret_key))
