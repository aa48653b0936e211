"""Access tokens that were verified a moment ago, so that not every request of a person reads the table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from factory.accounts import access_tokens
from factory.accounts.signing import SigningKeys
from factory.domain.principal import PLATFORM
from factory.store import sessions
from factory.store.database import Database
from factory.store.statement_batch import StatementBatch
from factory.store.users import User

REMEMBER_S = 5.0
"""How long a token is believed without another look: one whose session was ended elsewhere works for at most so long."""
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who makes a request, and the login that the access token comes from."""

    user: User
    session_id: UUID


class LiveSessions:
    """Tells good access tokens from others. Sessions that are looked up at the same moment share one statement."""

    def __init__(self, database: Database, keys: SigningKeys) -> None:
        self._database = database
        self._keys = keys
        self._lock = threading.Lock()
        self._remembered: dict[str, tuple[Visitor, float]] = {}
        self._looking_up: StatementBatch[UUID, User | None] = StatementBatch(sessions.live)

    def verify(self, token: str) -> Visitor | None:
        """Whose access token this is; None if it is none, or its session is over. Raises Unavailable."""
        now = time.monotonic()
        visitor, believed_until = self._remembered.get(token, (None, 0.0))
        if visitor and now < believed_until:
            return visitor
        access = access_tokens.read(self._keys, token)
        # Only tokens that this installation signed are looked up, so nobody makes it search for what is not there.
        user = self._user(access.session_id) if access else None
        if access is None or user is None or user.id != access.user_id:
            return None
        visitor = Visitor(user, access.session_id)
        self._keep(token, visitor, now + REMEMBER_S)
        return visitor

    def forget(self, session_id: UUID) -> None:
        """Has a session looked up again at its next use."""
        self._forget(lambda visitor: visitor.session_id == session_id)

    def forget_user(self, user_id: UUID) -> None:
        """The same for all sessions of a user."""
        self._forget(lambda visitor: visitor.user.id == user_id)

    def _user(self, session_id: UUID) -> User | None:
        return self._looking_up.run(self._database, PLATFORM, session_id)

    def _keep(self, token: str, visitor: Visitor, until: float) -> None:
        """If there are too many, the oldest one goes."""
        with self._lock:
            self._remembered.pop(token, None)
            if len(self._remembered) >= MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[token] = (visitor, until)

    def _forget(self, is_meant: Callable[[Visitor], bool]) -> None:
        with self._lock:
            kept = self._remembered
            self._remembered = {token: one for token, one in kept.items() if not is_meant(one[0])}
