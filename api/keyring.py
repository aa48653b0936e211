"""API keys that were verified a moment ago, so that not every request reads the table."""

from __future__ import annotations

import time

from factory.services import Services
from factory.store import keys
from factory.store.keys import KeyView

REMEMBER_S = 30.0
"""How long a verified key is believed: one revoked in another process works for at most so long."""
MOST_REMEMBERED = 10_000


class Keyring:
    """Tells live keys from others."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._remembered: dict[str, tuple[KeyView, float]] = {}

    def verify(self, token: str) -> KeyView | None:
        """The live key that this token is, or None. Raises Unavailable."""
        now = time.monotonic()
        key, believed_until = self._remembered.get(token, (None, 0.0))
        if key and now < believed_until:
            return key
        with self._services.database.autocommit() as tx:
            key = keys.verify(tx, self._services.settings.secret_key, token)
        if key:
            self._remember(token, key, now + REMEMBER_S)
        return key

    def _remember(self, token: str, key: KeyView, believed_until: float) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered = {}
        self._remembered[token] = key, believed_until

    def forget(self, prefix: str) -> None:
        """Has the key with this prefix looked up again at its next use."""
        kept = dict(self._remembered)
        self._remembered = {token: one for token, one in kept.items() if one[0].prefix != prefix}
