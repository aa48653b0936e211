"""What an administrator does with accounts: invites people, and ends what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from factory.accounts import refresh_tokens
from factory.accounts.signing import SigningKeys
from factory.domain.account import normal_email
from factory.domain.session import Ending
from factory.errors import Conflict, NotFound
from factory.store import invitations, sessions, users
from factory.store.database import Tx
from factory.store.users import User

INVITATION_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Invitation:
    """Lets somebody set a password, once. The token is shown this once."""

    user: User
    token: str
    expires_at: datetime


def invite(
    tx: Tx, keys: SigningKeys, email: str, name: str, by: str, *, is_admin: bool
) -> Invitation:
    """A new user with an invitation; another invitation for one who has not accepted yet. Raises Conflict, InvalidInput."""
    email = normal_email(email)
    user = users.create(tx, email, name, is_admin=is_admin) or users.find_by_email(tx, email)
    assert user
    if user.deactivated_at or not user.invited:
        state = "deactivated" if user.deactivated_at else "there"
        raise Conflict(f"a user with this e-mail is {state} already", param="email")
    if user.is_admin != is_admin:
        raise Conflict("this e-mail was invited with other rights", param="is_admin")
    return _invitation(tx, keys, user, by)


def reset_password(tx: Tx, keys: SigningKeys, email: str, by: str) -> Invitation:
    """An invitation with which a user sets another password; until then the old one is good. Raises NotFound, Conflict."""
    user = find_user(tx, email)
    if user.deactivated_at:
        raise Conflict("this user is deactivated", param="email")
    return _invitation(tx, keys, user, by)


def deactivate(tx: Tx, user_id: UUID) -> User:
    """Ends all sessions of a user, who cannot log in any more. Raises NotFound, Conflict for the last administrator."""
    if users.is_last_admin(tx, user_id):
        raise Conflict("this is the last administrator who can log in", param="user_id")
    user = users.deactivate(tx, user_id)
    if user is None:
        raise NotFound("there is no such user", param="user_id")
    sessions.end_all(tx, user_id, Ending.DEACTIVATED)
    return user


def find_user(tx: Tx, email: str) -> User:
    """The user with this e-mail. Raises NotFound, InvalidInput."""
    user = users.find_by_email(tx, normal_email(email))
    if user is None:
        raise NotFound("there is no user with this e-mail", param="email")
    return user


def _invitation(tx: Tx, keys: SigningKeys, user: User, by: str) -> Invitation:
    token = refresh_tokens.invitation()
    expires_at = invitations.create(tx, user.id, keys.hash(token), by, INVITATION_S)
    return Invitation(user, token, expires_at)
