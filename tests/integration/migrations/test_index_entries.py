"""The revision that keys archived calls by their job, and orders lists of jobs: with data, beside new partitions, and after an interruption."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError

from factory.services import Services
from factory.store import partitions
from factory.store.database import Tx, rows, run
from factory.store.migrate import revisions, upgrade
from tests.integration.migrations.test_retention import _config
from tests.integration.retention.past import DAY, count, given_archived, retain
from tests.integration.store.ends import detail
from tests.integration.store.samples import ask, given_jobs, tell

BEFORE = "0017"
TABLE = "llm_calls_archive"
KEY = "CREATE UNIQUE INDEX {name}_pkey ON public.{name} USING btree (job_id, id, started_at)"
OPEN = "(job_id) WHERE (status = 'open'::text)"
INDEXES = f"""
SELECT tablename AS name, array_agg(indexdef ORDER BY indexdef) AS definitions FROM pg_indexes
 WHERE tablename LIKE '{TABLE}!_%%' ESCAPE '!' GROUP BY 1
"""
WAITS = "SELECT FROM pg_locks WHERE relation = CAST(%(table)s AS regclass) AND NOT granted"
AHEAD = timedelta(days=400)
PATIENCE_S = 120.0


def _assert_keyed_by_job(services: Services) -> set[str]:
    """Every partition has its key and the index of open calls, and no other; gives their names."""
    found = ask(services, INDEXES)
    for row in found:
        of_open, key = row.definitions
        assert key == KEY.format(name=row.name)
        assert of_open.endswith(OPEN)
    return {row.name for row in found}


def test_archived_calls_are_found_before_and_after(services: Services, database_url: str) -> None:
    job_ids = [given_archived(services), given_archived(services, ago=70 * DAY)]
    command.downgrade(_config(database_url), BEFORE)
    before = [detail(services, job_id) for job_id in job_ids]
    assert [len(one.calls) for one in before] == [1, 1]
    upgrade(database_url)
    assert [detail(services, job_id) for job_id in job_ids] == before
    assert count(services, TABLE) == 2
    _assert_keyed_by_job(services)


def test_a_call_is_still_archived_once(services: Services) -> None:
    given_archived(services)
    with pytest.raises(IntegrityError):
        tell(services, f"INSERT INTO {TABLE} SELECT * FROM {TABLE}")


def test_a_partition_that_is_made_meanwhile_is_keyed_too(
    services: Services, database_url: str
) -> None:
    """A dispatcher of before makes it, after the indexes were built and before the key is changed."""
    retain(services)
    command.downgrade(_config(database_url), BEFORE)
    with services.database.transaction(answer_s=PATIENCE_S) as tx:
        run(tx, f"LOCK TABLE ONLY {TABLE} IN ROW EXCLUSIVE MODE")
        upgrading = threading.Thread(target=upgrade, args=(database_url,))
        upgrading.start()
        _wait_until_it_waits(tx)
        late = _make_partition(tx, partitions.database_now(tx) + AHEAD)
    upgrading.join()
    current, head = revisions(database_url)
    assert current == head
    assert late in _assert_keyed_by_job(services)


@pytest.mark.parametrize("table", [TABLE, "jobs_archive"])
def test_a_long_read_holds_up_the_migration_and_no_job(
    services: Services, database_url: str, table: str
) -> None:
    retain(services)
    command.downgrade(_config(database_url), BEFORE)
    with services.database.transaction(answer_s=PATIENCE_S) as tx:
        run(tx, f"LOCK TABLE ONLY {table} IN ACCESS SHARE MODE")
        upgrading = threading.Thread(target=upgrade, args=(database_url,))
        upgrading.start()
        _wait_until_it_waits(tx, table)
        given_archived(services)
    upgrading.join()
    current, head = revisions(database_url)
    assert current == head
    assert count(services, TABLE) == 1


def _wait_until_it_waits(tx: Tx, table: str = TABLE) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not rows(tx, WAITS, {"table": table}):
        assert time.monotonic() < deadline, f"the migration does not come to {table}"
        time.sleep(0.02)


def _make_partition(tx: Tx, when: datetime) -> str:
    [span] = partitions.CALLS.period.spans(when, when)
    assert partitions.make(tx, partitions.CALLS, span)
    return f"{TABLE}_{span.label}"


HELD = "SELECT indexrelid AS id, indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_jobs_held')"


def test_what_an_interrupted_attempt_left_is_built_again(
    services: Services, database_url: str
) -> None:
    given_jobs(services, 2)
    command.downgrade(_config(database_url), BEFORE)
    with services.database.autocommit() as tx, pytest.raises(IntegrityError):
        run(tx, "CREATE UNIQUE INDEX CONCURRENTLY ix_jobs_held ON jobs (kind)")
    assert [row.indisvalid for row in ask(services, HELD)] == [False]
    upgrade(database_url)
    assert [row.indisvalid for row in ask(services, HELD)] == [True]


def test_what_an_interrupted_attempt_has_built_is_kept(
    services: Services, database_url: str
) -> None:
    """The indexes of before may be gone already: nothing else finds what runs."""
    command.downgrade(_config(database_url), BEFORE)
    tell(services, "DROP INDEX ix_jobs_in_flight, ix_jobs_leases")
    tell(services, "CREATE INDEX ix_jobs_held ON jobs (worker_id, lane)")
    built = ask(services, HELD)
    upgrade(database_url)
    assert ask(services, HELD) == built
