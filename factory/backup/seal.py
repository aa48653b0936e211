"""Encryption of backups in the age format: making one needs only the public key, which cannot read it.
https://age-encryption.org/v1. The tool `age` opens the files too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyrage

from factory.errors import Conflict, Misconfigured, Unavailable

SUFFIX = ".age"
PIECE_BYTES = 2**20
Tell = Callable[[int], None]
"""Called now and then with how many bytes have been read."""


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """The file with the secret key, as `age-keygen` writes it."""

    path: Path

    def read(self) -> Any:
        """The key. Raises Misconfigured."""
        try:
            lines = self.path.read_text().splitlines()
        except OSError as error:
            raise _no_identity(f"names a file that cannot be read: {error.strerror}") from None
        keys = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-")]
        if len(keys) != 1:
            raise _no_identity(f"names {self.path}, which holds no age key, or several")
        try:
            return pyrage.x25519.Identity.from_str(keys[0])
        except pyrage.IdentityError:
            raise _no_identity(f"names {self.path}, whose key is damaged") from None


def _no_identity(what: str) -> Misconfigured:
    return Misconfigured(f"BACKUP_IDENTITY_FILE {what}", param="BACKUP_IDENTITY_FILE")


def create_identity(path: Path) -> str:
    """Writes a new secret key to a file of its own, 0600; gives the recipient. Raises Conflict if there is a file."""
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict(f"{path} exists; a key is never overwritten", param="FILE") from None
    with os.fdopen(fd, "w") as file:
        file.write(f"# public key: {recipient}\n{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    return recipient


def recipient_of(text: str) -> Any:
    """The public key. Raises Misconfigured."""
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise Misconfigured(
            "BACKUP_RECIPIENT is not an age public key (age1…): factory backup key FILE makes one",
            param="BACKUP_RECIPIENT",
        ) from None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was written."""

    size_bytes: int
    sha256: str


class _Source:
    """Counts what is read."""

    def __init__(self, source: IO[bytes], tell: Tell) -> None:
        self._source, self._tell, self._read_bytes = source, tell, 0

    def read(self, size: int = PIECE_BYTES) -> bytes:
        piece = self._source.read(size)
        self._read_bytes += len(piece)
        self._tell(self._read_bytes)
        return piece


class _Target:
    """Sums what is written."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self._sum, self._written_bytes = target, hashlib.sha256(), 0

    def write(self, piece: bytes) -> int:
        self._sum.update(piece)
        self._written_bytes += len(piece)
        return self._target.write(piece)

    def flush(self) -> None:
        self._target.flush()

    def sealed(self) -> Sealed:
        return Sealed(self._written_bytes, self._sum.hexdigest())


def seal(source: IO[bytes], path: Path, recipient: str | None, tell: Tell) -> Sealed:
    """Writes all of the source to a new file, encrypted unless the recipient is None, and synced at the end. Raises
    Unavailable if the disk refuses it.
    """
    key = recipient_of(recipient) if recipient else None
    try:
        with path.open("xb") as file:
            target = _Target(file)
            if key:
                pyrage.encrypt_io(_Source(source, tell), target, [key])
            else:
                shutil.copyfileobj(_Source(source, tell), target, PIECE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, pyrage.EncryptError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unavailable(f"{path} cannot be written: {reason}") from error
    return target.sealed()


def pour(path: Path, target: IO[bytes], identity: IdentityFile | None) -> None:
    """Writes the decrypted content of a file. Raises Misconfigured without the right key."""
    with path.open("rb") as source:
        if path.suffix != SUFFIX:
            shutil.copyfileobj(source, target, PIECE_BYTES)
            return
        if identity is None:
            raise _no_identity("is not set, and the backup is encrypted")
        key = identity.read()
        try:
            pyrage.decrypt_io(source, target, [key])
        except pyrage.DecryptError as error:
            raise _no_identity(f"does not open {path.name}: {error}") from None
        except OSError as error:
            if error.errno:
                raise
            raise Unavailable(f"{path} is damaged: {error}") from None


class _Opens(Exception):
    """Raised at the first decrypted piece: the key opens the file."""


class _Nowhere:
    """A target that raises `_Opens` at the first piece."""

    def write(self, _piece: bytes) -> int:
        raise _Opens

    def flush(self) -> None:
        """Nothing to write."""


def demand_key(path: Path, identity: IdentityFile | None) -> None:
    """Checks that the key opens the file, before hours of work. Raises Misconfigured, or Unavailable if the file is
    damaged.
    """
    if path.suffix == SUFFIX:
        with suppress(_Opens):
            pour(path, _Nowhere(), identity)  # type: ignore[arg-type]


def sum_of(path: Path) -> Sealed:
    """Size and SHA-256 of a file as stored."""
    with path.open("rb") as file:
        return Sealed(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
