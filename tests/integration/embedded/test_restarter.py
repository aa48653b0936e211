"""A server that ends by itself comes back at the same address, with its data."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from redis import Redis
from redis.exceptions import ConnectionError

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.restarter import Restartable, ServerRestarter
from factory.embedded.valkey import EmbeddedValkey
from tests.integration.embedded.processes import until


@contextmanager
def _kept(server: Restartable) -> Iterator[str]:
    url = server.start()
    restarter = ServerRestarter([server])
    restarter.start()
    try:
        yield url
    finally:
        restarter.stop()
        server.stop()


def test_a_killed_postgres_comes_back_with_its_data(tmp_path: Path) -> None:
    with _kept(EmbeddedPostgres(tmp_path)) as url:
        _ask(url, "CREATE TABLE kept AS SELECT 1 AS n")
        postmaster = int((tmp_path / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: _answers(url))
        assert _ask(url, "TABLE kept") == [(1,)]


def test_a_killed_valkey_comes_back(tmp_path: Path) -> None:
    with _kept(EmbeddedValkey(tmp_path)) as url:
        os.kill(int(Redis.from_url(url).info("server")["process_id"]), signal.SIGKILL)
        until(lambda: _pongs(url))


def _ask(url: str, statement: str) -> list[tuple[int, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def _answers(url: str) -> bool:
    try:
        return bool(_ask(url, "SELECT 1"))
    except psycopg2.OperationalError:
        return False


def _pongs(url: str) -> bool:
    try:
        return bool(Redis.from_url(url).ping())
    except ConnectionError:
        return False
