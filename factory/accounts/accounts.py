"""What a person may do with an account: log in, refresh, log out, accept an invitation, change the password."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from factory.accounts import access_tokens, refresh_tokens
from factory.accounts.passwords import Passwords
from factory.accounts.signing import SigningKeys
from factory.accounts.throttle import Throttle
from factory.domain.account import check_password, normal_email
from factory.domain.job import new_id
from factory.domain.principal import PLATFORM
from factory.domain.session import Ending, Verdict, judge
from factory.errors import InvalidInput, Unauthorized, Unavailable
from factory.services import Services
from factory.store import invitations, sessions, users
from factory.store.database import Tx
from factory.store.sessions import LockedSession, NewSession
from factory.store.users import StoredPassword, User

SESSION_S = 14 * 86_400
"""How long a login lasts, however often it is refreshed."""
LONGEST_AGENT = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """From where somebody logs in."""

    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's user and tokens. The refresh token is good once."""

    user: User
    access_token: str
    refresh_token: str
    session_id: UUID


class Accounts:
    """Shared by the threads of a process."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self.keys = SigningKeys(services.settings.token_secrets)
        self.passwords = Passwords()
        self._throttle = Throttle(services.database, self.keys)

    def sign_in(self, email: str, password: str, client: Client) -> SignedIn:
        """Opens a session. Raises Unauthorized, TooManyAttempts, Unavailable, InvalidInput."""
        email = normal_email(email)
        with self.passwords.place():
            known = self._verify(email, password, client)
            known = self._rehash(known, password)
        with self._database.transaction(PLATFORM) as tx:
            signed_in = self._open(tx, known, client)
        self._throttle.forgive(email, client.address)
        return signed_in

    def refresh(self, token: str) -> SignedIn:
        """New tokens for a refresh token. Raises Unauthorized; one that was used before ends its session."""
        session_id = refresh_tokens.session_of(token)
        found = None
        if session_id:
            with self._database.transaction(PLATFORM) as tx:
                locked = sessions.lock(tx, session_id)
                found = self._refreshed(tx, session_id, locked, token) if locked else None
        if found is None:
            raise Unauthorized("the refresh token is not valid", code="invalid_token")
        return found

    def sign_out(self, token: str) -> UUID | None:
        """Ends the session of a refresh token, its newest or the one before; gives its id if there is one."""
        session_id = refresh_tokens.session_of(token)
        if session_id is None:
            return None
        with self._database.transaction(PLATFORM) as tx:
            locked = sessions.lock(tx, session_id)
            stored = (locked.state.token_hash, locked.state.previous_hash) if locked else ()
            if not set(stored).intersection(self.keys.hashes(token)):
                return None
            sessions.end(tx, session_id, Ending.LOGOUT)
        return session_id

    def invited(self, token: str) -> tuple[UUID, str]:
        """Id and e-mail of the user whom an invitation is for. Raises Unauthorized."""
        found = None
        if refresh_tokens.INVITATION.fullmatch(token):
            with self._database.autocommit(PLATFORM) as tx:
                found = invitations.find(tx, self.keys.hashes(token))
        if found is None:
            raise Unauthorized("the invitation is not valid", code="invalid_token")
        return found

    def accept(self, token: str, password: str, name: str | None, client: Client) -> SignedIn:
        """Sets the password of who was invited, ends earlier sessions, and opens one. Raises Unauthorized,
        InvalidInput, Unavailable.
        """
        user_id, email = self.invited(token)
        password = check_password(password, email)
        with self.passwords.place():
            stored = StoredPassword(user_id, self.passwords.hash(password))
        with self._database.transaction(PLATFORM) as tx:
            used = invitations.use(tx, self.keys.hashes(token))
            if not used or not users.set_password(tx, user_id, stored.password_hash, name):
                raise Unauthorized("the invitation is not valid", code="invalid_token")
            sessions.end_all(tx, user_id, Ending.PASSWORD)
            return self._open(tx, stored, client)

    def change_password(
        self, user: User, session_id: UUID, current: str, new: str, client: Client
    ) -> None:
        """Replaces a password and ends all other sessions. Raises InvalidInput, TooManyAttempts, Unavailable."""
        checked = check_password(new, user.email, "new_password")
        with self.passwords.place():
            try:
                self._verify(user.email, current, client)
            except Unauthorized:
                raise InvalidInput(
                    "current_password: it is not your password", param="current_password"
                ) from None
            stored = self.passwords.hash(checked)
        with self._database.transaction(PLATFORM) as tx:
            if not users.set_password(tx, user.id, stored):
                raise Unauthorized("the access token is not valid", code="invalid_token")
            sessions.end_all(tx, user.id, Ending.PASSWORD, but=session_id)
        self._throttle.forgive(user.email, client.address)

    def _verify(self, email: str, password: str, client: Client) -> StoredPassword:
        """The account's password, if it is this one. Raises Unauthorized, TooManyAttempts."""
        self._throttle.count(email, client.address)
        with self._database.autocommit(PLATFORM) as tx:
            known = users.password_of(tx, email)
        right = self.passwords.is_right(known.password_hash if known else None, password)
        if known is None or not right:
            raise Unauthorized("the e-mail or the password is wrong")
        return known

    def _rehash(self, known: StoredPassword, password: str) -> StoredPassword:
        if not self.passwords.is_outdated(known.password_hash):
            return known
        renewed = StoredPassword(known.user_id, self.passwords.hash(password))
        with self._database.autocommit(PLATFORM) as tx:
            return renewed if users.replace_hash(tx, known, renewed.password_hash) else known

    def _open(self, tx: Tx, known: StoredPassword, client: Client) -> SignedIn:
        session_id = new_id()
        token = refresh_tokens.first(session_id)
        agent = client.user_agent[:LONGEST_AGENT] if client.user_agent else None
        new = NewSession(
            session_id, known.user_id, self.keys.hash(token), SESSION_S, client.address, agent
        )
        user = sessions.open_session(tx, new, known.password_hash)
        if user is None:
            raise Unauthorized("the e-mail or the password is wrong")
        return self._signed_in(user, session_id, token)

    def _refreshed(
        self, tx: Tx, session_id: UUID, locked: LockedSession, token: str
    ) -> SignedIn | None:
        """The tokens that follow; None if none do, and then the session may have been ended."""
        if not self.keys.made(locked.state.token_hash):
            # A gateway with a newer secret has rotated it: to this one the good token looks like a stolen one.
            raise Unavailable("the secret of tokens is being replaced; try again")
        successors = refresh_tokens.successors(self.keys, token)
        match judge(locked.state, self.keys.hashes(token), locked.now):
            case Verdict.ROTATE:
                sessions.rotate(tx, session_id, self.keys.hash(successors[0]))
                return self._signed_in(locked.user, session_id, successors[0])
            case Verdict.REPEAT:
                newest = locked.state.token_hash
                same = [one for one in successors if newest in self.keys.hashes(one)]
                return self._signed_in(locked.user, session_id, same[0]) if same else None
            case Verdict.REUSED:
                sessions.end(tx, session_id, Ending.REUSED)
                log.warning(
                    "a refresh token of %s was used again: its session is ended",
                    locked.user.subject,
                )
        return None

    def _signed_in(self, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
        access = access_tokens.Access(user.id, session_id)
        return SignedIn(user, access_tokens.issue(self.keys, access), refresh_token, session_id)
