"""What counts as Postgres being away, and what is the statement's own fault."""

from __future__ import annotations

import pytest

from factory.config import Settings
from factory.errors import Unavailable
from factory.services import Services
from factory.store.database import Database, run
from tests.integration.store.samples import ask

# An index row holds 2,704 bytes at most, after compression.
LONG = "INSERT INTO projects (id, name) SELECT gen_random_uuid(), string_agg(md5(n::text), '') FROM generate_series(1, 400) n"


def test_a_server_that_is_not_there_is_unavailable(services: Services) -> None:
    nowhere = Database("postgresql://x@/x?host=/nowhere", pool_size=1, process="test")
    with pytest.raises(Unavailable), nowhere.transaction():
        pass


def test_a_connection_that_is_cut_is_unavailable_and_the_next_works(services: Services) -> None:
    with pytest.raises(Unavailable), services.database.transaction() as tx:
        run(tx, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert ask(services, "SELECT 1 AS one")[0].one == 1


def test_a_server_that_takes_no_writes_is_unavailable(services: Services) -> None:
    """So a demoted primary looks during a failover."""
    with pytest.raises(Unavailable), services.database.transaction() as tx:
        run(tx, "SET TRANSACTION READ ONLY; DELETE FROM counters")


def test_a_pool_without_a_free_connection_is_unavailable(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = services.settings
    monkeypatch.setattr("factory.store.database.POOL_WAIT_S", 0.05)
    small = Database(settings.libpq_url, pool_size=1, process="test")
    with small.transaction(), pytest.raises(Unavailable), small.transaction():
        pass
    small.close()


@pytest.mark.parametrize(
    "statement",
    [
        LONG,
        "SELECT CAST('\"\\u0000\"' AS jsonb)",
        "SELECT 1 / 0",
        "INSERT INTO jobs (id) VALUES (NULL)",
        "SELECT no_such_column",
    ],
)
def test_a_statement_that_can_never_succeed_is_not_unavailability(
    services: Services, statement: str
) -> None:
    """Who retries what is unavailable would retry it for ever."""
    with pytest.raises(Exception) as caught, services.database.transaction() as tx:  # noqa: PT011
        run(tx, statement)
    assert not isinstance(caught.value, Unavailable)
