"""Invitations: tokens that let somebody set a password, once. Only a keyed hash of each is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, rows, run

KEPT_DAYS = 30
"""How long one that is over is kept."""

# There is one at a time: those of before are void.
VOID = """
UPDATE invitations SET expires_at = now()
 WHERE user_id = %(user_id)s AND used_at IS NULL AND expires_at > now()
"""
CREATE = """
INSERT INTO invitations (id, user_id, token_hash, created_by, expires_at)
VALUES (%(id)s, %(user_id)s, %(hash)s, %(by)s, now() + make_interval(secs => %(valid_s)s))
RETURNING expires_at
"""


def create(tx: Tx, user_id: UUID, token_hash: str, by: str, valid_s: float) -> datetime:
    """Stores an invitation, which voids earlier ones of the user; gives when it expires."""
    params = {"id": str(new_id()), "user_id": str(user_id), "hash": token_hash, "by": by}
    run(tx, VOID, params)
    expires_at: datetime = rows(tx, CREATE, {**params, "valid_s": valid_s})[0].expires_at
    return expires_at


FIND = """
SELECT u.id, u.email FROM invitations i JOIN users u ON u.id = i.user_id
 WHERE i.token_hash = ANY(%(hashes)s) AND i.used_at IS NULL AND i.expires_at > now()
   AND u.deactivated_at IS NULL
"""


def find(tx: Tx, hashes: Sequence[str]) -> tuple[UUID, str] | None:
    """Id and e-mail of the user whom a live invitation with one of these hashes is for."""
    found: Sequence[Any] = rows(tx, FIND, {"hashes": list(hashes)})
    return (found[0].id, found[0].email) if found else None


USE = """
UPDATE invitations SET used_at = now()
 WHERE token_hash = ANY(%(hashes)s) AND used_at IS NULL AND expires_at > now()
"""


def use(tx: Tx, hashes: Sequence[str]) -> bool:
    """Uses a live invitation up; False if somebody else has."""
    return run(tx, USE, {"hashes": list(hashes)}) == 1


FORGET = """
DELETE FROM invitations WHERE id IN (
    SELECT id FROM invitations WHERE expires_at < now() - make_interval(days => %(days)s)
     ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def forget_old(tx: Tx, limit: int) -> int:
    """Deletes those that expired long ago; gives how many, at most `limit`."""
    return run(tx, FORGET, {"days": KEPT_DAYS, "limit": limit})
