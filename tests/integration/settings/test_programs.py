"""One rule about the env file and about faults, held by every program as its users start it."""

from __future__ import annotations

import os
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
    "quarantine": (*MODULE, "workers.quarantine", "x"),
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
