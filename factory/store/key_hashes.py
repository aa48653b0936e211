"""Keyed hashes of API keys, under the installation's SECRET_KEY and, while it is replaced, under the earlier one.

A key's hash is stored under each secret's fingerprint. So gateways with the new secret and those that know only the
old one accept the same keys, whatever the order of their restarts.
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
    """The installation's secret, and earlier ones whose keys are still valid."""

    current: str
    previous: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (self.current, *self.previous)

    def hashes(self, key: str) -> dict[str, str]:
        """The key's hash under each secret, by fingerprint."""
        return {fingerprint(secret): secret_hash(secret, key) for secret in self.all}

    def oldest_hash(self, key: str) -> str:
        """The hash that programs compare which know only the oldest secret."""
        return secret_hash(self.all[-1], key)

    def know(self, key: str, stored: str, by_fingerprint: Mapping[str, str]) -> bool:
        """Whether a stored hash of this key was made with one of the secrets; `stored` is the one without a fingerprint."""
        return any(
            hmac.compare_digest(known, by_fingerprint.get(mark, stored))
            for mark, known in self.hashes(key).items()
        )


def secret_hash(secret_key: str, key: str) -> str:
    """HMAC-SHA256 of the whole key: a stolen table is worthless without the installation's secret."""
    return hmac.new(secret_key.encode(), key.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=8)
def fingerprint(secret_key: str) -> str:
    """Distinguishes secrets, and reveals nothing of them."""
    digest = hmac.digest(secret_key.encode(), b"fingerprint of SECRET_KEY", hashlib.sha256)
    return digest.hex()[:FINGERPRINT_LETTERS]


def secrets_of(secret_key: str, previous: Sequence[str]) -> Secrets:
    """The secrets; an earlier one that equals the current one is left out."""
    return Secrets(secret_key, tuple(one for one in previous if one != secret_key))
