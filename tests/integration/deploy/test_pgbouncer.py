"""The platform through PgBouncer to Postgres, both with the files that are shipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg2
import pytest

from deploy.validate.checks.pgbouncer import ADMIN as OPERATOR
from deploy.validate.checks.pgbouncer import PASSWORD as OPERATORS
from deploy.validate.checks.pgbouncer import ask, check_ini
from deploy.validate.servers import (
    free_port,
    listens,
    new_cluster,
    room,
    running,
    with_places,
)
from deploy.validate.tools import Invalid
from factory.backup.base import base
from factory.backup.dump import dump
from factory.backup.vault import Vault
from factory.domain.principal import PLATFORM, Principal
from factory.embedded.account import unprivileged_account
from factory.errors import Misconfigured
from factory.pipeline.upkeep.maintenance import nightly
from factory.simulator import HostedSimulator
from factory.store.database import Database, rows
from factory.store.migrate import upgrade
from tests.integration.deploy.tools import DEPLOY, debian
from tests.integration.reliability.rig import eventually, running_rig
from tests.integration.store.test_naming import NAMED

INI = DEPLOY / "pgbouncer" / "pgbouncer.ini"
JOBS, CLIENTS = 200, 8
MOST = 70
LOOKS = 50
SECRET = "of prod_user: & % / @"
JOB = {"model": "openai/gpt-4o-mini", "input": "Why is the sky blue?"}
CREATE = (
    "CREATE ROLE prod_user LOGIN PASSWORD %s",
    "CREATE DATABASE agent_factory_prod OWNER prod_user",
)


@dataclass(frozen=True)
class Pooled:
    """A database, and two ways to it."""

    direct_url: str
    pooled_url: str
    port: int


def test_an_ini_with_a_mistake_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "pgbouncer.ini"
    broken.write_text(INI.read_text().replace("pool_mode", "pool_mood"))
    with pytest.raises(Invalid):
        check_ini(debian("pgbouncer"), broken)


def test_jobs_run_through_it_and_no_answer_fails(
    tmp_path: Path, redis_url: str, simulator: HostedSimulator
) -> None:
    with (
        _pooled() as pooled,
        running_rig(
            tmp_path, pooled.pooled_url, redis_url, simulator, own_database_url=pooled.direct_url
        ) as rig,
    ):
        rig.start_crew(workers=2)
        with rig.gateway() as client, ThreadPoolExecutor(CLIENTS) as hands:
            accepted = list(hands.map(lambda _: client.post("/api/jobs", json=JOB), range(JOBS)))
            ids = [answer.json().get("id") for answer in accepted]
            waited = list(hands.map(lambda job: _ended(client, job), ids))
        assert Counter(answer.status_code for answer in accepted) == {202: JOBS}
        assert Counter(answer.status_code for answer in waited) == {200: JOBS}
        assert Counter(answer.json()["state"] for answer in waited) == {"succeeded": JOBS}
        assert set(rig.calls().values()) == {1}
        errors = rig.log("workers.worker") + rig.log("workers.dispatcher") + rig.log("gunicorn")
        assert "Traceback" not in errors
        assert "prepared statement" not in errors
        assert _settings(pooled.pooled_url) == ("30s", "UTC", "10s", "1s")
        pools = ask(pooled.port, "SHOW POOLS", OPERATOR, OPERATORS)
        [servers] = [
            pool["sv_active"] + pool["sv_used"] + pool["sv_idle"]
            for pool in pools
            if pool["user"] == "prod_user"
        ]
        assert 0 < servers <= MOST


def _ended(client: httpx.Client, job: str) -> httpx.Response:
    """The answer that shows its end, or any that is no success."""

    def look() -> httpx.Response | None:
        answer = client.get(f"/api/jobs/{job}", headers={"Prefer": "wait=30"})
        running = answer.status_code == 200 and not answer.json()["finished_at"]
        return None if running else answer

    found = eventually(look)
    assert found is not None
    return found


def test_what_changes_a_session_for_others_refuses_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with _pooled() as pooled:
        database = Database(pooled.pooled_url, pool_size=1, process="test", statement_s=0)
        with pytest.raises(Misconfigured, match="pooler"):
            nightly(database)
        database.close()
        with pytest.raises(SystemExit):
            upgrade(pooled.pooled_url)
        vault = Vault(tmp_path / "backups")
        for make in (dump, base):
            with pytest.raises(Misconfigured, match="pooler"):
                make(vault, pooled.pooled_url, None, lambda _: None)
    assert "leads through a pooler" in capsys.readouterr().err


def test_two_clients_of_one_server_connection_never_see_whom_the_other_named() -> None:
    with _pooled() as pooled, ThreadPoolExecutor(CLIENTS) as hands:
        owners = [Principal(frozenset({uuid4()}), "key:test") for _ in range(CLIENTS)]
        found = list(hands.map(lambda who: _look_many_times(pooled.pooled_url, who), owners))
    for who, (named, unnamed, _) in zip(owners, found, strict=True):
        assert named == {f"{{{who.project_id}}}"}
        assert unnamed == {""}
    pids = Counter(pid for _, _, mine in found for pid in mine)
    assert max(pids.values()) > 1  # clients had the same server connection


def _look_many_times(url: str, who: Principal) -> tuple[set[str], set[str], set[int]]:
    """What a client sees in its own name and in nobody's, and the server connections that it had."""
    named, unnamed, pids = set[str](), set[str](), set[int]()
    database = Database(url, pool_size=1, process="test")
    for _ in range(LOOKS):
        for opened in (database.transaction, database.autocommit):
            for seen, one in ((named, who), (unnamed, PLATFORM)):
                with opened(one) as tx:
                    looks = [rows(tx, NAMED)[0] for _ in range(2)]
                seen |= {look.named for look in looks}
                pids |= {look.pid for look in looks}
    database.close()
    return named, unnamed, pids


@contextmanager
def _pooled() -> Iterator[Pooled]:
    """A migrated database of prod_user, who is no superuser."""
    pgbouncer = debian("pgbouncer")
    folder = DEPLOY / "postgres"
    config, hba = folder / "postgresql-8gb.conf", folder / "pg_hba.conf"
    with room() as directory, new_cluster() as cluster, cluster.running(config, hba) as admin:
        port = admin.split("port=")[1].split()[0]
        secret = _create(admin)
        own = f"postgresql://prod_user:{quote(SECRET, safe='')}@127.0.0.1:"
        upgrade(f"{own}{port}/agent_factory_prod")
        listening = free_port()
        users = directory / "userlist.txt"
        users.write_text(f'"{OPERATOR}" "{OPERATORS}"\n"prod_user" "{secret}"\n')
        places = {
            "host=postgres port=5432": f"host=127.0.0.1 port={port}",
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "listen_port = 6432": f"listen_port = {listening}",
            "/etc/pgbouncer/userlist.txt": str(users),
        }
        ini = directory / "pgbouncer.ini"
        ini.write_text(with_places(INI.read_text(), places))
        account = unprivileged_account(pgbouncer, directory.parent)
        with running([pgbouncer, ini], directory, lambda: listens(listening), account):
            yield Pooled(
                f"{own}{port}/agent_factory_prod", f"{own}{listening}/agent_factory_prod", listening
            )


def _create(admin: str) -> str:
    """The SCRAM secret of the role, as Postgres keeps it."""
    connection = psycopg2.connect(admin)
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in CREATE:
        cursor.execute(statement, (SECRET,) if "%s" in statement else None)
    cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'prod_user'")
    [(secret,)] = cursor.fetchall()
    connection.close()
    inside = psycopg2.connect(admin.replace("dbname=postgres", "dbname=agent_factory_prod"))
    inside.autocommit = True
    inside.cursor().execute("CREATE EXTENSION vector")
    inside.close()
    return str(secret)


def _settings(url: str) -> tuple[str, ...]:
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    found = []
    for name in (
        "statement_timeout",
        "timezone",
        "idle_in_transaction_session_timeout",
        "client_connection_check_interval",
    ):
        cursor.execute(f"SHOW {name}")
        found.append(cursor.fetchall()[0][0])
    connection.close()
    return tuple(found)
