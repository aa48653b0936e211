"""Work that is repeated for as long as its process lives, whatever goes wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable

FIRST_PAUSE_S = 0.5

log = logging.getLogger(__name__)


class PeriodicTask:
    """A piece of work that a thread repeats, perhaps in turn with others."""

    def __init__(self, name: str, work: Callable[[], float], longest_pause_s: float) -> None:
        """`work` gives how many seconds to wait before the next time, and may raise anything."""
        self.name = name
        self._work = work
        self._longest_pause_s = longest_pause_s
        self._pause_s = 0.0

    def run(self) -> float:
        """Does the work once; gives how many seconds to wait before the next time.

        After a failure that is a pause that doubles with each, up to the longest. Raises nothing.
        """
        try:
            rest_s = self._work()
        # Whatever goes wrong is logged: a thread that ended here would leave its work undone.
        except Exception as error:
            self._pause_s = min(self._longest_pause_s, max(FIRST_PAUSE_S, 2 * self._pause_s))
            log.warning("%s goes on in %.1f s: %s", self.name, self._pause_s, _in_a_line(error))
            log.debug("%s failed", self.name, exc_info=True)
            return self._pause_s
        self._pause_s = 0.0
        return rest_s


def _in_a_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
