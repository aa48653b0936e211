"""Passwords are hashed with Argon2id, a few at a time: each hash takes 19 MiB and a core for some 30 ms."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from factory.domain.account import normal_password
from factory.errors import Unavailable

MEMORY_KIB, ROUNDS, LANES = 19 * 1024, 2, 1
"""https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""
SALT_BYTES, HASH_BYTES = 16, 32
AT_ONCE = 2
"""Hashes that one process computes at the same moment."""
MOST = 6
"""Threads that compute one or wait for it; further ones are turned away, so that jobs find threads."""
WAIT_S = 2.0


class Passwords:
    """Hashes and compares passwords. The threads of one process share it."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            ROUNDS, MEMORY_KIB, LANES, HASH_BYTES, SALT_BYTES, type=Type.ID
        )
        self._here = threading.BoundedSemaphore(MOST)
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Waits until this thread may hash. Raises Unavailable."""
        if not self._here.acquire(blocking=False):
            raise _busy()
        try:
            if not self._free.acquire(timeout=WAIT_S):
                raise _busy()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._here.release()

    def hash(self, password: str) -> str:
        """What to store of a password. The caller holds a place."""
        return self._hasher.hash(normal_password(password))

    def is_right(self, stored: str | None, password: str) -> bool:
        """Whether the stored hash is of this password. Without one the work is the same, so that the time does not tell
        whether a user is known. The caller holds a place.
        """
        try:
            self._hasher.verify(stored or NOBODYS, normal_password(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)


def _busy() -> Unavailable:
    return Unavailable("too many logins at once; try again", retry_after_s=2)


def _zeros(size: int) -> str:
    return base64.b64encode(bytes(size)).decode().rstrip("=")


NOBODYS = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p={LANES}${_zeros(SALT_BYTES)}${_zeros(HASH_BYTES)}"
)
"""A hash of no password that anybody knows."""
