"""A transaction names the projects that it speaks for, and its connection forgets them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from factory.domain.principal import PLATFORM, Principal, together
from factory.services import Services
from factory.store import jobs
from factory.store.database import Database, Tx, rows, run
from factory.store.naming import SETTING
from factory.store.statement_batch import StatementBatch, _Entry
from tests.integration.store.samples import (
    OTHER_OWNER,
    OTHER_PROJECT,
    OWNER,
    PROJECT,
    given_job,
    new_job,
)

NAMED = f"SELECT coalesce(current_setting('{SETTING}', true), '') AS named, pg_backend_pid() AS pid"


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    """Whose transactions all have the same connection."""
    made = Database(services.settings.libpq_url, pool_size=1, process="test")
    yield made
    made.close()


def _named(tx: Tx) -> set[UUID]:
    text = rows(tx, NAMED)[0].named.strip("{}")
    return {UUID(one) for one in text.split(",") if one}


def _pid(tx: Tx) -> int:
    return int(rows(tx, NAMED)[0].pid)


def test_every_statement_of_a_transaction_is_its_owners(database: Database) -> None:
    with database.transaction(OWNER) as tx:
        assert [_named(tx), _named(tx)] == [{PROJECT}] * 2
    with database.autocommit(OWNER) as tx:
        assert [_named(tx), _named(tx)] == [{PROJECT}] * 2


def test_afterwards_the_same_connection_names_nobody(database: Database) -> None:
    for opened in (database.transaction, database.autocommit):
        with opened(OWNER) as tx:
            assert _named(tx) == {PROJECT}
            pid = _pid(tx)
        with opened(PLATFORM) as tx:
            assert (_named(tx), _pid(tx)) == (set(), pid)


def test_a_transaction_that_is_rolled_back_names_nobody_afterwards(database: Database) -> None:
    with database.transaction(OWNER) as tx:
        assert _named(tx) == {PROJECT}
        tx.rollback()
    with database.transaction(PLATFORM) as tx:
        assert _named(tx) == set()


def test_a_transaction_without_a_statement_leaves_nothing_to_the_next(database: Database) -> None:
    with database.autocommit(OWNER):
        pass
    with database.engine.connect() as tx:
        assert _named(tx) == set()


def test_naming_is_no_message_of_its_own(database: Database, services: Services) -> None:
    job_id = given_job(services)
    with database.autocommit(PLATFORM) as tx:
        jobs.get(tx, PROJECT, job_id)  # a new connection asks whether it is pooled
    sent: list[str] = []

    def note(*given: object) -> None:
        sent.append(str(given[2]))

    event.listen(database.engine, "before_cursor_execute", note)
    counts = []
    for who in (PLATFORM, OWNER):
        for opened in (database.autocommit, database.transaction):
            sent.clear()
            with opened(who) as tx:
                assert jobs.get(tx, PROJECT, job_id)
                run(tx, "SELECT 1")
            counts.append((len(sent), sum(SETTING in text for text in sent)))
    event.remove(database.engine, "before_cursor_execute", note)
    assert counts == [(2, 0), (2, 0), (2, 2), (2, 1)]


def test_a_batch_names_the_projects_of_all_who_are_in_it(services: Services) -> None:
    seen: list[set[UUID]] = []

    def look(tx: Tx, items: list[int]) -> list[int]:
        seen.append(_named(tx))
        return items

    entries = [_Entry(who, 0) for who in (OWNER, OTHER_OWNER)]
    StatementBatch(look)._transact(services.database, entries)
    assert seen == [{PROJECT, OTHER_PROJECT}]


@pytest.fixture
def guarded(services: Services) -> Iterator[str]:
    """A table whose rows are shown by project, and a role that does not bypass that."""
    role = f"tenant_{uuid4().hex[:12]}"
    with services.database.transaction(PLATFORM) as tx:
        run(
            tx,
            f"CREATE ROLE {role} NOLOGIN;"
            " CREATE TABLE notes (project_id uuid, words text);"
            " ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
            f" GRANT SELECT, UPDATE ON notes TO {role};"
            " CREATE POLICY own ON notes USING (project_id = ANY("
            f"   CAST(nullif(current_setting('{SETTING}', true), '') AS uuid[])))",
        )
        for project_id in (PROJECT, OTHER_PROJECT):
            run(tx, "INSERT INTO notes VALUES (%(id)s, 'x')", {"id": str(project_id)})
    yield role
    with services.database.transaction(PLATFORM) as tx:
        run(tx, f"DROP TABLE notes; DROP ROLE {role}")


@pytest.mark.parametrize(
    ("who", "changed"),
    [(OWNER, 1), (OTHER_OWNER, 1), (together([OWNER, OTHER_OWNER]), 2), (PLATFORM, 0)],
)
def test_a_policy_on_what_is_named_serves_one_statement_for_several(
    services: Services, guarded: str, who: Principal, changed: int
) -> None:
    with services.database.transaction(who) as tx:
        run(tx, f"SET LOCAL ROLE {guarded}")
        assert run(tx, "UPDATE notes SET words = 'y'") == changed


def test_jobs_of_several_are_accepted_by_one_statement(services: Services) -> None:
    with services.database.autocommit(together([OWNER, OTHER_OWNER])) as tx:
        jobs.accept(tx, [new_job(), new_job(project_id=OTHER_PROJECT)])
        assert _named(tx) == {PROJECT, OTHER_PROJECT}
