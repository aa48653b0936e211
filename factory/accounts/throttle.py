"""How many logins may be tried: for an account, whoever tries, and for a client, whatever account it tries."""

from __future__ import annotations

import math

from factory.accounts.signing import SigningKeys
from factory.domain.account import network_of
from factory.domain.principal import PLATFORM
from factory.errors import TooManyAttempts
from factory.store import login_attempts
from factory.store.database import Database

MOST_OF_ACCOUNT = 10
MOST_OF_CLIENT = 50
"""In 15 minutes. A client may be an office with one address."""
LONGEST_WAIT_S = 60
"""What clients honour of a Retry-After."""


class Throttle:
    """Counts in Postgres, so for all gateways, and across a loss of Redis."""

    def __init__(self, database: Database, keys: SigningKeys) -> None:
        self._database = database
        self._keys = keys

    def count(self, email: str, address: str | None) -> None:
        """An attempt is made. Raises TooManyAttempts; then it must not be made.

        A client that has had too many is not counted at the account: nobody locks out many accounts.
        """
        for subject, most in (
            (_client(address), MOST_OF_CLIENT),
            (self._account(email), MOST_OF_ACCOUNT),
        ):
            with self._database.autocommit(PLATFORM) as tx:
                attempts = login_attempts.count(tx, subject)
            if attempts.count > most:
                wait_s = max(1, min(LONGEST_WAIT_S, math.ceil(attempts.left_s)))
                raise TooManyAttempts("too many logins were tried; wait", retry_after_s=wait_s)

    def forgive(self, email: str, address: str | None) -> None:
        """The attempt succeeded."""
        with self._database.transaction(PLATFORM) as tx:
            login_attempts.forgive(tx, self._account(email), _client(address))

    def _account(self, email: str) -> str:
        return f"account:{self._keys.hash(email)}"


def _client(address: str | None) -> str:
    return f"client:{network_of(address)}"
