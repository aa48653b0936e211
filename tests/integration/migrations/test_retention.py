"""The archive's revision: up beside live jobs and beside another upgrade, down without a loss."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config

import migrations
from factory.domain.job import new_id
from factory.domain.state import State
from factory.services import Services
from factory.store.migrate import revisions, upgrade
from tests.integration.reliability.rig import eventually
from tests.integration.retention.past import DAY, count, given_archived, given_ended, places, retain
from tests.integration.store.ends import claim_with_call
from tests.integration.store.samples import PROJECT, ask, given_job, tell, view, waits_for_locks

JOB = """
INSERT INTO jobs (id, project_id, kind, lane, provider, priority, max_attempts)
VALUES (%(id)s, %(project)s, 'completion', 'openai.normal', 'openai', 'normal', 5)
"""
"""As the program of that revision writes one."""
PAYLOAD = "INSERT INTO job_payloads (job_id, input) VALUES (%(id)s, '{}')"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def test_partitions_are_no_difference_between_code_and_database(
    services: Services, database_url: str
) -> None:
    retain(services)
    command.check(_config(database_url))


def test_the_way_down_takes_archived_jobs_along(services: Services, database_url: str) -> None:
    job_ids = [
        given_archived(services, State.FAILED),
        given_archived(services),
        given_job(services),
    ]
    before = [view(services, job_id) for job_id in job_ids]
    command.downgrade(_config(database_url), "0001")
    assert [count(services, table) for table in ("jobs", "job_payloads")] == [3, 3]
    assert [count(services, table) for table in ("job_results", "llm_calls")] == [2, 2]
    assert count(services, "job_steps") == 1
    upgrade(database_url)
    assert [view(services, job_id) for job_id in job_ids] == before


def test_the_way_down_keeps_the_usage_of_what_has_expired(
    services: Services, database_url: str
) -> None:
    job_id = given_ended(services, ago=40 * DAY)
    retain(services)
    cost_micros = view(services, job_id).cost_micros
    command.downgrade(_config(database_url), "0001")
    upgrade(database_url)
    assert places(services, job_id) == ["jobs"]
    assert view(services, job_id).cost_micros == cost_micros


def test_the_way_down_keeps_calls_that_are_under_way(services: Services, database_url: str) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    command.downgrade(_config(database_url), "0013")
    [call] = ask(services, "SELECT * FROM llm_calls")
    assert (call.id, call.job_id, call.status) == (call_id, job.id, "open")
    assert (call.step_key, call.provider, call.model) == ("answer", "openai", "gpt-4o-mini")


def test_jobs_are_written_while_the_indexes_are_built(
    services: Services, database_url: str
) -> None:
    """The builder waits for who writes, and nobody waits for the builder."""
    command.downgrade(_config(database_url), "0001")
    with closing(psycopg2.connect(database_url)) as writing:
        writing.cursor().execute("UPDATE jobs SET run_at = run_at")
        upgrading = threading.Thread(target=upgrade, args=(database_url,))
        upgrading.start()
        _wait_for_builder(database_url)
        tell(services, JOB, id=str(new_id()), project=str(PROJECT))
        writing.commit()
    upgrading.join()
    current, head = revisions(database_url)
    assert current == head


def test_jobs_are_written_while_a_column_waits_for_a_long_read(
    services: Services, database_url: str
) -> None:
    """It asks for its lock for a moment, again and again: nobody queues behind it for longer."""
    command.downgrade(_config(database_url), "0014")
    with closing(psycopg2.connect(database_url)) as reading:
        reading.cursor().execute("SELECT FROM job_payloads")
        upgrading = threading.Thread(target=upgrade, args=(database_url,))
        upgrading.start()
        eventually(lambda: waits_for_locks(services) > 0)
        tell(services, PAYLOAD, id=str(new_id()))
        assert count(services, "pg_class WHERE relname = 'job_requests'") == 0
        reading.commit()
    upgrading.join()
    current, head = revisions(database_url)
    assert current == head
    assert count(services, "job_requests") == 1


def _wait_for_builder(database_url: str) -> None:
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    cursor = connection.cursor()
    deadline = time.monotonic() + 120
    while True:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%%'"
            " AND wait_event_type = 'Lock' AND datname = current_database()"
        )
        if cursor.rowcount:
            break
        assert time.monotonic() < deadline, "no index is being built"
        time.sleep(0.02)
    connection.close()


def test_two_upgrades_at_once_take_turns(services: Services, database_url: str) -> None:
    """Who waits for the other holds no snapshot, which an index built CONCURRENTLY would wait for."""
    command.downgrade(_config(database_url), "0001")
    upgrades = [threading.Thread(target=_upgrade_process, args=(database_url,)) for _ in range(2)]
    for one in upgrades:
        one.start()
    for one in upgrades:
        one.join()
    current, head = revisions(database_url)
    assert current == head


def _upgrade_process(database_url: str) -> None:
    """Alembic's context is global, so each upgrade has a process of its own."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from factory.store.migrate import upgrade; upgrade(sys.argv[1])",
            database_url,
        ],
        check=True,
        timeout=240,
    )
