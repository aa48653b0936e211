"""A clock of Postgres that a test turns: what happens does not depend on how fast the machine is.

Functions of a schema that stands before `pg_catalog` in the search path are found first, so every statement of the
platform that asks for the time asks these. Defaults of columns keep the true time.
"""

from __future__ import annotations

from factory.services import Services
from factory.store.database import rows, run

INSTALL = """
CREATE SCHEMA turned;
CREATE TABLE turned.clock AS SELECT pg_catalog.now() AS at;
CREATE FUNCTION turned.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS $$SELECT at FROM turned.clock$$;
CREATE FUNCTION turned.clock_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
    AS $$SELECT at FROM turned.clock$$;
"""


def install(services: Services) -> None:
    """For all connections that are opened from now on."""
    with services.database.transaction() as tx:
        run(tx, INSTALL)
        [here] = rows(tx, "SELECT current_database() AS name")
        run(tx, f'ALTER DATABASE "{here.name}" SET search_path = turned, pg_catalog, public')
    services.database.engine.dispose()


def reset(services: Services) -> None:
    """To the true time."""
    with services.database.transaction() as tx:
        run(tx, "UPDATE turned.clock SET at = pg_catalog.now()")


def turn(services: Services, seconds: float) -> None:
    """So much later."""
    with services.database.transaction() as tx:
        run(tx, "UPDATE turned.clock SET at = at + make_interval(secs => %(s)s)", {"s": seconds})
