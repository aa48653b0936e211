"""One rule about the env file and about faults, held by every program as its users start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from factory.config import Settings, consumed_names
from factory.store.migrate import revisions

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
SECRET_KEY = "test-secret-key-of-32-characters!"
ENDS_S = 100
MODULE = (sys.executable, "-m")
ALEMBIC = (str(BIN / "alembic"), "-c", str(ROOT / "alembic.ini"), "upgrade", "head")
PROGRAMS = {
    "worker": (*MODULE, "workers.worker"),
    "dispatcher": (*MODULE, "workers.dispatcher"),
    "exporter": (*MODULE, "workers.exporter", "--port", "1"),
    "quarantine": (*MODULE, "workers.quarantine"),
    "gunicorn": (*MODULE, "gunicorn", "-c", "python:api.gunicorn", "-b", "127.0.0.1:1"),
    "flower": (*MODULE, "celery", "-A", "workers.celery_app", "flower", "--port=1"),
    "factory": (*MODULE, "factory.cli.main", "db", "status"),
    "up": (*MODULE, "factory.cli.main", "up"),
    "alembic": ALEMBIC,
}
MAIN = "from factory.cli.main import main; main()"


def start(
    directory: Path, program: tuple[str, ...], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run to its end in `directory`, by an environment that names no setting but `variables`."""
    settings = {*map(str.upper, Settings.model_fields), *consumed_names()}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    if "factory.cli.main" in program:
        program = (sys.executable, "-c", MAIN, *program[3:])
    return subprocess.run(
        program,
        cwd=directory,
        env={**kept, "PYTHONPATH": str(ROOT), "FACTORY_HOME": str(directory / "home"), **variables},
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_malformed_env_file_stops_every_program_and_names_the_line(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\nno assignment\n")
    done = start(tmp_path, program)
    assert done.returncode not in (0, None)
    assert ".env, line 2: not NAME=value" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_all_that_is_wrong_in_the_env_file_stops_every_program_by_name(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text(
        "DATABASE_URL=postgresql://user@host/name\nDATABASE_HOST=another\nREDIS_DB=0\n"
        f"SECRET_KEY={SECRET_KEY}\n"
    )
    done = start(tmp_path, program)
    assert done.returncode not in (0, None)
    assert "DATABASE_URL is set beside DATABASE_HOST" in done.stderr
    assert "REDIS_DB is set without REDIS_HOST" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def empty_url(postgres_url: str) -> str:
    """A database without any table; it goes with its server."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True
    connection.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    connection.close()
    return urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))


def test_alembic_migrates_the_database_that_the_env_file_names(
    tmp_path: Path, empty_url: str
) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL='{empty_url}'\n")
    done = start(tmp_path, ALEMBIC)
    assert done.returncode == 0, done.stderr
    current, newest = revisions(empty_url)
    assert current == newest is not None
    assert not (tmp_path / "home").exists()


def test_alembic_without_a_database_does_not_end_well(tmp_path: Path) -> None:
    done = start(tmp_path, ALEMBIC)
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr
    assert not (tmp_path / "home").exists()


def test_the_environment_goes_before_the_env_file(tmp_path: Path, empty_url: str) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://user@nowhere.invalid/name\n")
    done = start(tmp_path, PROGRAMS["factory"], DATABASE_URL=empty_url)
    assert done.returncode == 1
    assert "schema at nothing" in done.stdout


def test_the_doctor_tells_of_an_env_file_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("no assignment\n")
    done = start(tmp_path, (*MODULE, "factory.cli.main", "doctor", "--json"))
    assert done.returncode == 1
    assert ".env, line 1" in done.stdout


def test_up_warns_of_a_placeholder_on_its_own_server_and_takes_it_for_no_key(
    tmp_path: Path,
) -> None:
    """The env file of the directory counts for every program that `up` starts, wherever each stands."""
    (tmp_path / ".env").write_text(
        f"OPENAI_API_KEY=sk-...\nWORKER_SLOTS=7\nSECRET_KEY={'a' * 40}\nLOG_FORMAT=text\n"
    )
    settings = {*map(str.upper, Settings.model_fields), *consumed_names()}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    environ = {**kept, "PYTHONPATH": str(ROOT), "FACTORY_HOME": str(tmp_path / "home")}
    log = tmp_path / "up.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", MAIN, "up", "--json", "--no-flower"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as up,
    ):
        try:
            assert up.stdout is not None
            banner = up.stdout.readline()
            assert banner, log.read_text()
            workers = start(tmp_path, (*MODULE, "factory.cli.main", "workers", "--json"))
            doctor = start(tmp_path, (*MODULE, "factory.cli.main", "doctor", "--json"))
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(ENDS_S)
    assert "openai" in json.loads(banner)["simulated"]
    assert "warning: OPENAI_API_KEY is a placeholder" in log.read_text()
    assert "warning: SECRET_KEY repeats itself" in log.read_text()
    assert json.loads(workers.stdout)["data"][0]["slots"] == 7, workers.stderr
    checks = {one["name"]: one for one in json.loads(doctor.stdout)["checks"]}
    assert checks["OPENAI_API_KEY"]["status"] == checks["SECRET_KEY"]["status"] == "warn"
    assert checks["Postgres"]["status"] == "ok"


def test_up_on_a_server_that_is_named_refuses_a_placeholder(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        PROGRAMS["up"],
        DATABASE_URL="postgresql://user@nowhere.invalid/name",
        OPENAI_API_KEY="sk-...",
    )
    assert done.returncode == 2
    assert "OPENAI_API_KEY is a placeholder" in done.stderr
    assert not (tmp_path / "home").exists()
