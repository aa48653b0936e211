"""People and their tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.shown import ListShown, Shown


class User(Shown):
    """A person who may log in."""

    id: str
    """The user's id."""
    object: Literal["user"]
    """Always `user`."""
    email: str
    """The address by which the user logs in."""
    name: str
    """What to call the user."""
    is_admin: bool
    """Whether the user may invite and deactivate others."""
    state: Literal["invited", "active", "deactivated"]
    """Whether the user can log in."""
    created_at: datetime
    """When the user was invited first."""
    last_login_at: datetime | None
    """When the user logged in last; null for never."""
    deactivated_at: datetime | None
    """When the user was deactivated; null while not."""


class InvitedUser(User):
    """A new user, and the invitation, which is shown this once."""

    invitation_token: str = Field(examples=["afi_…"])
    """What `POST /api/auth/accept-invitation` takes, once."""
    invitation_expires_at: datetime
    """Until when."""


class UserList(ListShown):
    """All users, newest first."""

    data: list[User]
    """What was found."""


class Tokens(Shown):
    """The tokens of a session."""

    object: Literal["tokens"]
    """Always `tokens`."""
    access_token: str = Field(examples=["eyJ…"])
    """To be sent as `Authorization: Bearer`."""
    token_type: Literal["Bearer"]
    """Always `Bearer`."""
    expires_in: int = Field(description="How long the access token is good, in seconds.")
    refresh_token: str = Field(examples=["afr_…"])
    """Gives the next tokens, once."""
    user: User
    """Who logged in."""
