"""What a program waits for at its start."""

from __future__ import annotations

import logging
import time

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.services import Services
from factory.store import schema

LOOK_S = 1.0
SAY_EVERY_S = 30.0

log = logging.getLogger(__name__)


def await_schema(services: Services) -> None:
    """Returns once Postgres answers and its schema is the one that this code needs, or a newer one.

    Programs and `factory db migrate` may be started at the same moment, as by a Procfile or a first deploy. A program
    that is too early waits, and logs that every 30 s.
    """
    wanted = schema.newest_revision()
    says_next = time.monotonic()
    while reason := _not_yet(services, wanted):
        if time.monotonic() >= says_next:
            log.warning("waits for the database: %s", reason)
            says_next = time.monotonic() + SAY_EVERY_S
        time.sleep(LOOK_S)


def await_database(services: Services, within_s: float) -> None:
    """Returns once Postgres answers; looks at least once. Raises Unavailable when the time is over."""
    ends_s = time.monotonic() + within_s
    while True:
        try:
            with services.database.transaction(PLATFORM) as tx:
                schema.revision(tx)
        except Unavailable as error:
            if time.monotonic() >= ends_s:
                raise
            log.warning("waits for the database: %s", error.message)
            time.sleep(LOOK_S)
        else:
            return


def _not_yet(services: Services, wanted: str) -> str:
    try:
        with services.database.transaction(PLATFORM) as tx:
            found = schema.revision(tx)
    except Unavailable as error:
        return error.message
    if found is not None and found >= wanted:
        return ""
    return f"its schema is at {found or 'nothing'}, this code needs {wanted}: factory db migrate"
