"""What cron runs: vacuum, reindex, and what a look at Postgres finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from factory.cli.exits import ExitCode
from factory.errors import Conflict
from factory.pipeline.upkeep import maintenance
from factory.pipeline.upkeep.maintenance import check, nightly, weekly
from factory.pipeline.upkeep.retention import Retention
from factory.services import Services
from factory.store.database import Database
from tests.integration.reliability.rig import eventually
from tests.integration.store.samples import given_jobs, waits_for_locks

INDEX = "ix_jobs_archive_listed"
CLI = "from factory.cli.main import main; main()"


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    """As the command connects, to a database whose dispatcher has made its partitions."""
    Retention(services, lambda: 0.0).tick()
    own = Database(services.settings.libpq_url, pool_size=1, process="test", statement_s=0)
    yield own
    own.close()


def test_the_night_vacuums_and_analyzes_every_table(services: Services, database: Database) -> None:
    given_jobs(services, 3)
    report = nightly(database)
    assert report.findings == []
    assert {"jobs", "jobs_archive", "llm_calls"} <= set(report.vacuumed)
    late = "SELECT relname FROM pg_stat_user_tables WHERE last_analyze IS NULL"
    assert _ask(services, late) == []
    assert _ask(services, "SELECT reltuples FROM pg_class WHERE relname = 'jobs'") == [(3.0,)]


def test_the_weekend_rebuilds_what_is_in_use_and_drops_what_was_left(
    services: Services, database: Database
) -> None:
    _interrupt_a_reindex(services)
    assert {one.kind for one in check(database).findings} == {"invalid_index"}
    before = dict(_files(services))
    report = weekly(database)
    assert report.findings == []
    assert [name for name in report.dropped if name.endswith("_ccnew")]
    after = dict(_files(services))
    assert after.keys() == before.keys() - set(report.dropped)
    assert all(after[name] != before[name] for name in after)


def test_a_table_that_cannot_be_had_holds_up_no_other(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.store.maintenance.LOCK_S", 1)
    holder = psycopg2.connect(services.settings.libpq_url)
    holder.cursor().execute("LOCK TABLE webhook_deliveries IN ROW EXCLUSIVE MODE")
    report = weekly(database)
    failed = {one.name for one in report.findings if "_ccnew" not in one.name}
    assert failed == {"webhook_deliveries"}
    assert "jobs" in report.reindexed
    holder.close()
    # What could not be dropped then is dropped the next time.
    assert weekly(database).findings == []


def test_one_maintenance_at_a_time(services: Services, database: Database) -> None:
    other = psycopg2.connect(services.settings.libpq_url)
    other.cursor().execute("SELECT pg_advisory_lock(7246175)")
    with pytest.raises(Conflict):
        nightly(database)
    done = _run(services, "weekly")
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert json.loads(done.stdout)["error"]["message"].startswith("another maintenance")
    other.close()


def test_who_may_wait_begins_when_the_other_has_ended(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RETRY_S", 0.05)
    other = psycopg2.connect(services.settings.libpq_url)
    other.cursor().execute("SELECT pg_advisory_lock(7246175)")
    with ThreadPoolExecutor(1) as hands:
        night = hands.submit(nightly, database, 60)
        with pytest.raises(TimeoutError):
            night.result(1)
        other.close()
        assert night.result(60).findings == []


def test_what_is_mostly_empty_is_found(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LEAST_WASTE_BYTES", 200_000)
    given_jobs(services, 3_000)
    nightly(database)
    full = {one.name for one in check(database).findings}
    assert "jobs" not in full
    _do(services, "DELETE FROM jobs WHERE ctid <> ALL (SELECT max(ctid) FROM jobs)")
    nightly(database)
    found = {one.name: one.kind for one in check(database).findings if one.name not in full}
    assert found["jobs"] == "bloated_table"
    assert "bloated_index" in found.values()
    weekly(database)
    assert not [one for one in check(database).findings if one.kind == "bloated_index"]


def test_partitions_that_are_missing_are_found(services: Services, database: Database) -> None:
    [(newest,)] = _ask(
        services,
        "SELECT 'job_contents_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYY_MM_DD')",
    )
    _do(services, f"DROP TABLE {newest}")
    found = [(one.kind, one.name) for one in check(database).findings]
    assert found == [("missing_partition", "job_contents")]


def test_the_command_says_what_it_did_and_exits_by_what_it_found(services: Services) -> None:
    Retention(services, lambda: 0.0).tick()
    done = _run(services, "nightly")
    assert done.returncode == 0, done.stderr
    assert "jobs" in json.loads(done.stdout)["vacuumed"]
    _interrupt_a_reindex(services)
    found = _run(services, "check")
    assert found.returncode == 1
    assert json.loads(found.stdout)["findings"][0]["kind"] == "invalid_index"


def _run(services: Services, name: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "DATABASE_URL": services.settings.database_url}
    return subprocess.run(
        [sys.executable, "-c", CLI, "maintenance", name, "--json"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def _interrupt_a_reindex(services: Services) -> None:
    """It waits for a transaction that writes, and is cut off."""
    writer = psycopg2.connect(services.settings.libpq_url)
    writer.cursor().execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
    other = psycopg2.connect(services.settings.libpq_url)
    other.autocommit = True
    with ThreadPoolExecutor(1) as hands:
        reindex = hands.submit(other.cursor().execute, "REINDEX TABLE CONCURRENTLY jobs")
        eventually(lambda: waits_for_locks(services) or reindex.done())
        other.cancel()
        with pytest.raises(psycopg2.errors.QueryCanceled):
            reindex.result(60)
    other.close()
    writer.close()


def _files(services: Services) -> Sequence[tuple[Any, ...]]:
    """The indexes and where each is stored, but for partitions whose time is over."""
    return _ask(
        services,
        "SELECT c.relname, c.relfilenode FROM pg_class c"
        " WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace",
    )


def _ask(services: Services, statement: str) -> Sequence[tuple[Any, ...]]:
    connection = psycopg2.connect(services.settings.libpq_url)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return rows
    finally:
        connection.close()


def _do(services: Services, statement: str) -> None:
    connection = psycopg2.connect(services.settings.libpq_url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
