"""Sessions: what a login opens. Each has one refresh token at a time, of which a keyed hash is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.session import Ending, RefreshState
from factory.store.database import Tx, ids, rows, run
from factory.store.users import COLUMNS, User, user_of

KEPT_DAYS = 30
"""How long one that is over is kept."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to open."""

    id: UUID
    user_id: UUID
    token_hash: str
    valid_s: float
    address: str | None
    user_agent: str | None


# FOR UPDATE, and only with the hash that was verified: whoever changes the password or deactivates the user either comes
# before and no session is opened, or comes afterwards and ends it.
OPEN = f"""
WITH u AS (
    SELECT id FROM users WHERE id = %(user_id)s AND password_hash = %(password_hash)s
       AND deactivated_at IS NULL FOR UPDATE
), s AS (
    INSERT INTO sessions (id, user_id, token_hash, expires_at, address, user_agent)
    SELECT %(id)s, u.id, %(token_hash)s, now() + make_interval(secs => %(valid_s)s), %(address)s, %(user_agent)s
      FROM u
)
UPDATE users SET last_login_at = now() FROM u WHERE users.id = u.id
RETURNING {COLUMNS.replace("u.", "users.")}
"""


def open_session(tx: Tx, new: NewSession, password_hash: str) -> User | None:
    """Its user; None if the user may no longer log in with the password that has this hash."""
    params = {
        "id": str(new.id),
        "user_id": str(new.user_id),
        "token_hash": new.token_hash,
        "valid_s": new.valid_s,
        "address": new.address,
        "user_agent": new.user_agent,
        "password_hash": password_hash,
    }
    found = rows(tx, OPEN, params)
    return user_of(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class LockedSession:
    """A session whose row is locked."""

    user: User
    state: RefreshState
    now: datetime


LOCK = f"""
SELECT {COLUMNS}, s.token_hash, s.previous_hash, s.rotated_at, s.expires_at, clock_timestamp() AS now,
       s.ended_at IS NOT NULL OR u.deactivated_at IS NOT NULL AS ended
  FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = %(id)s FOR UPDATE OF s
"""


def lock(tx: Tx, session_id: UUID) -> LockedSession | None:
    """The session, which nobody else rotates until the transaction ends."""
    found = rows(tx, LOCK, {"id": str(session_id)})
    if not found:
        return None
    row: Any = found[0]
    state = RefreshState(
        row.token_hash, row.previous_hash, row.rotated_at, row.expires_at, row.ended
    )
    return LockedSession(user_of(row), state, row.now)


ROTATE = """
UPDATE sessions SET previous_hash = token_hash, token_hash = %(hash)s, rotated_at = clock_timestamp()
 WHERE id = %(id)s
"""


def rotate(tx: Tx, session_id: UUID, token_hash: str) -> None:
    """Puts another refresh token in the place of the newest."""
    run(tx, ROTATE, {"id": str(session_id), "hash": token_hash})


END = """
UPDATE sessions SET ended_at = now(), ended_because = %(why)s WHERE id = %(id)s AND ended_at IS NULL
"""
END_ALL = """
UPDATE sessions SET ended_at = now(), ended_because = %(why)s
 WHERE user_id = %(user_id)s AND ended_at IS NULL AND id IS DISTINCT FROM %(but)s
"""


def end(tx: Tx, session_id: UUID, why: Ending) -> bool:
    """Ends one; False if it is over already."""
    return run(tx, END, {"id": str(session_id), "why": why.value}) == 1


def end_all(tx: Tx, user_id: UUID, why: Ending, but: UUID | None = None) -> int:
    """Ends all of a user, except perhaps one; gives how many."""
    params = {"user_id": str(user_id), "why": why.value, "but": str(but) if but else None}
    return run(tx, END_ALL, params)


LIVE = f"""
SELECT s.id AS session_id, {COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = ANY(CAST(%(ids)s AS uuid[])) AND s.ended_at IS NULL AND s.expires_at > now()
   AND u.deactivated_at IS NULL
"""


def live(tx: Tx, session_ids: Sequence[UUID]) -> list[User | None]:
    """The user of each session that goes on, or None."""
    found = {row.session_id: user_of(row) for row in rows(tx, LIVE, {"ids": ids(session_ids)})}
    return [found.get(one) for one in session_ids]


FORGET = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < now() - make_interval(days => %(days)s)
     ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def forget_old(tx: Tx, limit: int) -> int:
    """Deletes those that expired long ago; gives how many, at most `limit`."""
    return run(tx, FORGET, {"days": KEPT_DAYS, "limit": limit})
