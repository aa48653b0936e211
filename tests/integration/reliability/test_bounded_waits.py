"""No wait is without an end, also where no connection breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from factory.embedded.postgres import EmbeddedPostgres
from factory.errors import Unavailable
from factory.store.database import CONNECT_TIMEOUT_S, Database, rows, run
from tests.integration.reliability.freeze import frozen, postmaster_of

ANSWER_S = 1.0
LONG_S = 60.0
"""For what has to be answered, however busy the machine is."""
LOOK_S = 20.0
"""How much later the end may come beside other work; a frozen server lets it wait for ever."""

INSERT = "INSERT INTO counters (metric, labels, amount) VALUES ('one', '{}', 1)"


@pytest.fixture
def database(own_postgres_url: str) -> Iterator[Database]:
    made = Database(own_postgres_url, pool_size=1, process="test")
    with made.transaction() as tx:
        rows(tx, "SELECT 1")
    yield made
    made.close()


def _gives_up_after(work: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        work()
    return time.monotonic() - started


def test_a_statement_that_a_frozen_server_does_not_answer_ends(
    database: Database, own_postgres: EmbeddedPostgres
) -> None:
    def ask(answer_s: float) -> None:
        with database.transaction(answer_s=answer_s) as tx:
            rows(tx, "SELECT 1")

    with frozen(postmaster_of(own_postgres)):
        assert _gives_up_after(lambda: ask(ANSWER_S)) < ANSWER_S + LOOK_S
    ask(LONG_S)


def test_a_commit_that_a_frozen_server_does_not_answer_ends(
    database: Database, own_postgres: EmbeddedPostgres
) -> None:
    def write(thaw: ExitStack) -> None:
        with database.transaction(answer_s=ANSWER_S) as tx:
            run(tx, INSERT)
            thaw.enter_context(frozen(postmaster_of(own_postgres)))

    with ExitStack() as thaw:
        assert _gives_up_after(lambda: write(thaw)) < ANSWER_S + LOOK_S


def test_a_connection_that_a_frozen_server_accepts_ends(
    own_postgres: EmbeddedPostgres, own_postgres_url: str
) -> None:
    database = Database(own_postgres_url, pool_size=1, process="test")

    def connect(answer_s: float) -> None:
        with database.transaction(answer_s=answer_s):
            pass

    with frozen(postmaster_of(own_postgres)):
        assert _gives_up_after(lambda: connect(ANSWER_S)) < CONNECT_TIMEOUT_S + LOOK_S
    connect(LONG_S)
    database.close()


def test_a_slow_transaction_within_its_time_is_left_alone(database: Database) -> None:
    with database.transaction(answer_s=LONG_S) as tx:
        rows(tx, "SELECT pg_sleep(1.5)")


def test_a_limit_ends_with_its_transaction(database: Database) -> None:
    with database.transaction(answer_s=2.0) as tx:
        [before] = rows(tx, "SELECT pg_backend_pid() AS pid")
    with database.transaction(answer_s=LONG_S) as tx:
        [after] = rows(tx, "SELECT pg_backend_pid() AS pid, pg_sleep(3.2)")
    assert after.pid == before.pid
