"""People who may log in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, rows, run


@dataclass(frozen=True, slots=True)
class User:
    """A person, without the password."""

    id: UUID
    email: str
    name: str
    is_admin: bool
    invited: bool
    """Whether the invitation has not been accepted yet."""
    created_at: datetime
    deactivated_at: datetime | None
    last_login_at: datetime | None

    @property
    def state(self) -> str:
        """`invited`, `active` or `deactivated`."""
        if self.deactivated_at:
            return "deactivated"
        return "invited" if self.invited else "active"

    @property
    def subject(self) -> str:
        """How logs and rows name this user."""
        return f"user:{self.id}"


COLUMNS = """u.id, u.email, u.name, u.is_admin, u.password_hash IS NULL AS invited, u.created_at,
       u.deactivated_at, u.last_login_at"""
CREATE = f"""
INSERT INTO users AS u (id, email, name, is_admin) VALUES (%(id)s, %(email)s, %(name)s, %(is_admin)s)
ON CONFLICT (email) DO NOTHING
RETURNING {COLUMNS}
"""


def create(tx: Tx, email: str, name: str, *, is_admin: bool) -> User | None:
    """A user who cannot log in yet; None if there is one with this e-mail."""
    params = {"id": str(new_id()), "email": email, "name": name, "is_admin": is_admin}
    return _one(rows(tx, CREATE, params))


def find(tx: Tx, user_id: UUID) -> User | None:
    """The user with this id."""
    statement = f"SELECT {COLUMNS} FROM users u WHERE id = %(id)s"
    return _one(rows(tx, statement, {"id": str(user_id)}))


def find_by_email(tx: Tx, email: str) -> User | None:
    """The user with this e-mail, in its normal form."""
    statement = f"SELECT {COLUMNS} FROM users u WHERE email = %(email)s"
    return _one(rows(tx, statement, {"email": email}))


def listed(tx: Tx) -> list[User]:
    """All users, newest first."""
    return [user_of(row) for row in rows(tx, f"SELECT {COLUMNS} FROM users u ORDER BY id DESC")]


def are_there(tx: Tx) -> bool:
    """Whether there is any user."""
    return bool(rows(tx, "SELECT 1 FROM users LIMIT 1"))


FIND_HASH = """
SELECT id, password_hash FROM users
 WHERE email = %(email)s AND deactivated_at IS NULL AND password_hash IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """What a password is compared with."""

    user_id: UUID
    password_hash: str


def password_of(tx: Tx, email: str) -> StoredPassword | None:
    """The password of a user who may log in."""
    found = rows(tx, FIND_HASH, {"email": email})
    return StoredPassword(found[0].id, found[0].password_hash) if found else None


def set_password(tx: Tx, user_id: UUID, password_hash: str, name: str | None = None) -> bool:
    """Sets an active user's password, and the name if one is given; locks the user until the transaction ends."""
    statement = """
    UPDATE users SET password_hash = %(hash)s, name = coalesce(%(name)s, name)
     WHERE id = %(id)s AND deactivated_at IS NULL
    """
    return run(tx, statement, {"id": str(user_id), "hash": password_hash, "name": name}) == 1


def replace_hash(tx: Tx, known: StoredPassword, password_hash: str) -> bool:
    """Stores another hash of the same password; False if the password has changed meanwhile."""
    statement = (
        "UPDATE users SET password_hash = %(new)s WHERE id = %(id)s AND password_hash = %(old)s"
    )
    params = {"id": str(known.user_id), "old": known.password_hash, "new": password_hash}
    return run(tx, statement, params) == 1


# In one order, so that two who deactivate each other take turns, and the second one sees what the first did.
LOCK_ADMINS = """
SELECT id FROM users WHERE is_admin AND deactivated_at IS NULL AND password_hash IS NOT NULL
 ORDER BY id FOR UPDATE
"""
DEACTIVATE = f"""
UPDATE users u SET deactivated_at = coalesce(deactivated_at, now()) WHERE id = %(id)s
RETURNING {COLUMNS}
"""


def is_last_admin(tx: Tx, user_id: UUID) -> bool:
    """Whether no other admin could log in without this one; all admins stay locked until the transaction ends."""
    return [row.id for row in rows(tx, LOCK_ADMINS)] == [user_id]


def deactivate(tx: Tx, user_id: UUID) -> User | None:
    """Ends what a user may do; None if there is no such user. Their sessions are the caller's to end."""
    return _one(rows(tx, DEACTIVATE, {"id": str(user_id)}))


def _one(found: Sequence[Any]) -> User | None:
    return user_of(found[0]) if found else None


def user_of(row: Any) -> User:
    return User(**{name: row._mapping[name] for name in User.__dataclass_fields__})
