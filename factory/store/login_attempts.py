"""Counts logins that are tried, by account and by client, so that nobody can guess for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from factory.store.database import Tx, rows, run

WINDOW_S = 900
"""From a subject's first attempt on; then its count begins anew."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many there were in the window, this one too, and when the window ends."""

    count: int
    left_s: float


COUNT = """
INSERT INTO login_attempts AS a (subject, attempts, began_at) VALUES (%(subject)s, 1, now())
ON CONFLICT (subject) DO UPDATE SET
    attempts = CASE WHEN a.began_at <= now() - make_interval(secs => %(window_s)s) THEN 1
                    ELSE least(a.attempts, 1000000) + 1 END,
    began_at = CASE WHEN a.began_at <= now() - make_interval(secs => %(window_s)s) THEN now()
                    ELSE a.began_at END
RETURNING attempts, extract(epoch FROM began_at - now())::float8 + %(window_s)s AS left_s
"""


def count(tx: Tx, subject: str) -> Attempts:
    """Counts an attempt before it is made: those that are made at the same moment are counted too."""
    row: Any = rows(tx, COUNT, {"subject": subject, "window_s": WINDOW_S})[0]
    return Attempts(row.attempts, row.left_s)


def forgive(tx: Tx, account: str, client: str) -> None:
    """After a login that succeeded: the account's count is cleared, and the client's is one less."""
    run(tx, "DELETE FROM login_attempts WHERE subject = %(subject)s", {"subject": account})
    less = (
        "UPDATE login_attempts SET attempts = greatest(attempts - 1, 0) WHERE subject = %(subject)s"
    )
    run(tx, less, {"subject": client})


FORGET = """
DELETE FROM login_attempts WHERE subject IN (
    SELECT subject FROM login_attempts WHERE began_at < now() - make_interval(secs => %(window_s)s)
     ORDER BY began_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def forget_old(tx: Tx, limit: int) -> int:
    """Deletes counts whose window is over; gives how many, at most `limit`."""
    return run(tx, FORGET, {"window_s": WINDOW_S, "limit": limit})
