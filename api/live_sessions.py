"""Sessions that were looked up a moment ago, so that not every request of a person reads the table."""

from __future__ import annotations

import threading
import time
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
"""How long a session is believed to go on: one that was ended elsewhere works for at most so long."""
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who makes a request, and the login that the access token comes from."""

    user: User
    session_id: UUID


class LiveSessions:
    """Tells good access tokens from others. Those that are looked up at the same moment share one statement."""

    def __init__(self, database: Database, keys: SigningKeys) -> None:
        self._database = database
        self._keys = keys
        self._lock = threading.Lock()
        self._remembered: dict[UUID, tuple[User, float]] = {}
        self._looking_up: StatementBatch[UUID, User | None] = StatementBatch(sessions.live)

    def verify(self, token: str) -> Visitor | None:
        """Whose access token this is; None if it is none, or its session is over. Raises Unavailable."""
        access = access_tokens.read(self._keys, token)
        if access is None:
            return None
        user = self._user(access.session_id)
        if user is None or user.id != access.user_id:
            return None
        return Visitor(user, access.session_id)

    def forget(self, session_id: UUID) -> None:
        """Has a session looked up again at its next use."""
        with self._lock:
            self._remembered.pop(session_id, None)

    def forget_user(self, user_id: UUID) -> None:
        """The same for all sessions of a user."""
        with self._lock:
            kept = self._remembered
            self._remembered = {key: one for key, one in kept.items() if one[0].id != user_id}

    def _user(self, session_id: UUID) -> User | None:
        now = time.monotonic()
        user, believed_until = self._remembered.get(session_id, (None, 0.0))
        if user and now < believed_until:
            return user
        # Only tokens that this installation signed come here, so nobody makes it look up what is not there.
        user = self._looking_up.run(self._database, PLATFORM, session_id)
        with self._lock:
            self._remembered.pop(session_id, None)
            if user:
                if len(self._remembered) >= MOST_REMEMBERED:
                    del self._remembered[next(iter(self._remembered))]
                self._remembered[session_id] = (user, now + REMEMBER_S)
        return user
