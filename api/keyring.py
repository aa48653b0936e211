"""API keys that were looked up a moment ago, so that not every request reads the table."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TypeVar

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import keys
from factory.store.database import Tx
from factory.store.keys import KeyView, LiveKey
from factory.store.statement_batch import StatementBatch

REMEMBER_S = 30.0
"""How long a verified key is cached: one revoked in another process works for at most so long."""
MOST_REMEMBERED = 10_000
REFUSE_S = 5.0
"""How long an unknown token is refused without another look."""
MOST_REFUSED = 10_000
"""Unknown tokens are cached apart: guessing displaces no good key."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Keyring:
    """Tells live keys from others. Tokens that are looked up at the same moment share one connection."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._lock = threading.Lock()
        self._remembered: dict[str, tuple[KeyView, float]] = {}
        self._refused: dict[str, float] = {}
        self._secret_key = services.settings.secret_key
        self._previous = services.settings.previous_secrets

        def look_up(tx: Tx, tokens: list[str]) -> Sequence[LiveKey | None]:
            return keys.verify_all(tx, self._secret_key, tokens, self._previous)

        self._looking_up: StatementBatch[str, LiveKey | None] = StatementBatch(look_up)

    def verify(self, token: str) -> KeyView | None:
        """The live key that this token is, or None. Raises Unavailable."""
        now = time.monotonic()
        key, believed_until = self._remembered.get(token, (None, 0.0))
        if key and now < believed_until:
            return key
        if not keys.prefix_of(token) or now < self._refused.get(token, 0.0):
            return None
        found = self._looking_up.run(self._database, PLATFORM, token)
        if found is None:
            self._keep(self._refused, token, now + REFUSE_S, MOST_REFUSED)
            return None
        if found.outdated:
            self._rehash(token)
        left_s = REMEMBER_S if found.expires_in_s is None else found.expires_in_s
        believed_until = now + min(REMEMBER_S, left_s)
        self._keep(self._remembered, token, (found.view, believed_until), MOST_REMEMBERED)
        return found.view

    def forget(self, prefix: str) -> None:
        """Has the key with this prefix looked up again at its next use."""
        with self._lock:
            kept = self._remembered
            self._remembered = {
                token: one for token, one in kept.items() if one[0].prefix != prefix
            }

    def _rehash(self, token: str) -> None:
        """Once for each key while SECRET_KEY is replaced. If it fails, the request is answered all the same."""
        try:
            with self._database.transaction(PLATFORM) as tx:
                keys.rehash(tx, self._secret_key, token, self._previous)
        except Unavailable as error:
            log.warning("an API key stays under the earlier SECRET_KEY for now: %s", error)

    def _keep(self, kept: dict[str, T], token: str, value: T, most: int) -> None:
        """Keeps a value; if there are too many, the oldest one goes."""
        with self._lock:
            kept.pop(token, None)
            if len(kept) >= most:
                del kept[next(iter(kept))]
            kept[token] = value
