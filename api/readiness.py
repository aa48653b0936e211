"""What `/ready` asks of Postgres and Redis: at most once a second, however many callers ask."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from redis.exceptions import RedisError

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import schema

FRESH_S = 1.0
"""An answer that is not older is used again."""
PATIENCE_S = 2.0
"""How long a caller waits for an answer."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Report(NamedTuple):
    """What the servers answered."""

    postgres: bool
    revision: str | None
    redis: bool


class Readiness:
    """Asks both servers. One that hangs blocks a single thread, however many callers ask."""

    def __init__(self, services: Services) -> None:
        self._postgres = Question(lambda: _revision(services))
        self._redis = Question(lambda: bool(services.redis.ping()))

    def look(self) -> Report:
        """The last answers, after at most two seconds."""
        revision, pong = self._postgres.ask(), self._redis.ask()
        return Report(*revision.heard(), pong.heard()[0])


class Asked(Generic[T]):
    """A question that was asked, and its answer."""

    def __init__(self) -> None:
        self.at_s = time.monotonic()
        self.ended = threading.Event()
        self.ok = False
        self.answer: T | None = None

    @property
    def usable(self) -> bool:
        """Whether it is still being answered, or was answered less than FRESH_S ago."""
        return not self.ended.is_set() or time.monotonic() < self.at_s + FRESH_S

    def heard(self) -> tuple[bool, T | None]:
        """Whether an answer came within PATIENCE_S of the question, and the answer."""
        if not self.ended.wait(max(0.0, self.at_s + PATIENCE_S - time.monotonic())):
            log.warning("not ready: no answer in time")
        return self.ok, self.answer


class Question(Generic[T]):
    """A question to a server that is asked by one thread at a time."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._last: Asked[T] | None = None

    def ask(self) -> Asked[T]:
        """The current question, or a new one if its answer is too old."""
        with self._lock:
            if self._last is None or not self._last.usable:
                self._last = Asked()
                threading.Thread(
                    target=self._run, args=(self._last,), name="readiness", daemon=True
                ).start()
            return self._last

    def _run(self, asked: Asked[T]) -> None:
        try:
            asked.answer = self._ask()
            asked.ok = True
        except (Unavailable, RedisError) as error:
            log.warning("not ready: %s", error)
        finally:
            asked.ended.set()


def _revision(services: Services) -> str | None:
    with services.database.autocommit(PLATFORM) as tx:
        return schema.revision(tx)
