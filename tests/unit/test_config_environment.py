"""URLs from their parts, secrets from files, and that two ways to say one thing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection
from psycopg2.extensions import parse_dsn
from redis import Redis

from factory.config import load_settings, resolve
from factory.config.faults import Fault
from workers.app import create_app

PASSWORD = "a/b#c@d:e%f?g&h é"
SECRET = {"SECRET_KEY": "5f1c0de9a7b34286e2d1f80934c7ab65"}
DATABASE = {"DATABASE_HOST": "db", "DATABASE_NAME": "jobs/1", "DATABASE_USER": "me@home"}


def names(faults: list[Fault]) -> set[str]:
    return {fault.name for fault in faults}


def test_a_password_of_any_letters_reaches_both_servers_as_it_is() -> None:
    settings = load_settings(
        {
            **SECRET,
            **DATABASE,
            "DATABASE_PASSWORD": PASSWORD,
            "DATABASE_SSLMODE": "verify-full",
            "REDIS_HOST": "cache",
            "REDIS_PORT": "6380",
            "REDIS_PASSWORD": PASSWORD,
            "REDIS_DB": "3",
        }
    )
    assert parse_dsn(settings.libpq_url) == {
        "host": "db",
        "port": "5432",
        "dbname": "jobs/1",
        "user": "me@home",
        "password": PASSWORD,
        "sslmode": "verify-full",
    }
    ours = Redis.from_url(settings.redis_url).connection_pool.connection_kwargs
    theirs = Connection(create_app(settings.redis_url).conf.broker_url)
    assert (ours["host"], ours["port"], ours["password"], ours["db"]) == (
        "cache",
        6380,
        PASSWORD,
        3,
    )
    assert (theirs.hostname, theirs.port, theirs.password) == ("cache", 6380, PASSWORD)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("a,b", {"host": "a,b", "port": "5432,5432"}),
        ("::1", {"host": "::1", "port": "5432"}),
        ("/run/postgres", {"host": "/run/postgres", "port": "5432"}),
    ],
)
def test_a_host_may_be_several_an_address_or_a_socket(host: str, found: dict[str, str]) -> None:
    environ, faults = resolve({**DATABASE, "DATABASE_HOST": host})
    assert not faults
    assert found.items() <= parse_dsn(environ["DATABASE_URL"]).items()


def test_tls_and_a_socket_of_redis() -> None:
    tls, _ = resolve({"REDIS_HOST": "::1", "REDIS_TLS": "true"})
    socket, _ = resolve({"REDIS_HOST": "/run/redis", "REDIS_DB": "2"})
    assert tls["REDIS_URL"] == "rediss://[::1]:6379/0"
    assert socket["REDIS_URL"] == "unix:///run/redis?db=2"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"DATABASE_URL": "postgresql://host/name", **DATABASE}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://host", "REDIS_PASSWORD": "p"}, "REDIS_URL"),
        ({"DATABASE_NAME": "jobs"}, "DATABASE_NAME"),
        ({"DATABASE_HOST": "db", "DATABASE_USER": "me"}, "DATABASE_NAME"),
        ({"DATABASE_HOST": "db", "DATABASE_NAME": "jobs"}, "DATABASE_USER"),
        ({**DATABASE, "DATABASE_PORT": "many"}, "DATABASE_PORT"),
        ({**DATABASE, "DATABASE_PORT": "0"}, "DATABASE_PORT"),
        ({"REDIS_HOST": "cache", "REDIS_PORT": "70000"}, "REDIS_PORT"),
        ({"REDIS_HOST": "cache", "REDIS_DB": "jobs"}, "REDIS_DB"),
        ({**DATABASE, "DATABASE_SSLMODE": "yes"}, "DATABASE_SSLMODE"),
        ({**DATABASE, "DATABASE_SSLROOTCERT": "/nowhere"}, "DATABASE_SSLROOTCERT"),
        ({**DATABASE, "DATABASE_PASSWORD": "changeme"}, "DATABASE_PASSWORD"),
        ({"REDIS_HOST": "cache", "REDIS_PASSWORD": "<password>"}, "REDIS_PASSWORD"),
        ({"REDIS_URL": "redis://cache", "REDIS_TLS": "true"}, "REDIS_TLS"),
    ],
)
def test_parts_that_say_two_things_or_too_little_are_refused(
    given: dict[str, str], name: str
) -> None:
    assert names(resolve(given)[1]) == {name}


def test_a_compose_files_passwords_alone_name_no_server() -> None:
    environ, faults = resolve({"DATABASE_PASSWORD": "p", "REDIS_PASSWORD": "p"})
    assert (environ, faults) == ({}, [])


def test_what_kubernetes_says_of_its_services_is_no_part() -> None:
    given = {"REDIS_URL": "redis://cache", "REDIS_PORT": "tcp://10.0.0.1:6379"}
    assert resolve(given) == ({"REDIS_URL": "redis://cache"}, [])
    built, _ = resolve({"REDIS_HOST": "cache", "REDIS_PORT": "tcp://10.0.0.1:6379"})
    assert built["REDIS_URL"] == "redis://cache:6379/0"


def test_a_password_may_hold_what_elsewhere_makes_a_placeholder() -> None:
    environ, faults = resolve({**DATABASE, "DATABASE_PASSWORD": "Ro3x<16>3x...l]1;$(x"})
    assert not faults
    assert parse_dsn(environ["DATABASE_URL"])["password"] == "Ro3x<16>3x...l]1;$(x"
    load_settings({**SECRET, **environ, "REDIS_URL": "redis://cache"})


def test_an_empty_part_is_none() -> None:
    given = {"DATABASE_URL": "postgresql://host/name", "DATABASE_HOST": "", "DATABASE_NAME": " "}
    environ, faults = resolve(given)
    assert not faults
    assert environ == {"DATABASE_URL": "postgresql://host/name"}


def test_secrets_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET['SECRET_KEY']}\n")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    environ, faults = resolve(
        {
            **DATABASE,
            "SECRET_KEY_FILE": str(tmp_path / "secret"),
            "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )
    assert not faults
    assert environ["SECRET_KEY"] == SECRET["SECRET_KEY"]
    assert parse_dsn(environ["DATABASE_URL"])["password"] == PASSWORD


def test_a_secrets_file_that_is_missing_empty_binary_or_one_too_many_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "good").write_text("key")
    _, faults = resolve(
        {
            "OPENAI_API_KEY_FILE": str(tmp_path / "nowhere"),
            "ANTHROPIC_API_KEY_FILE": str(tmp_path / "empty"),
            "SECRET_KEY_FILE": str(tmp_path / "binary"),
            "GOOGLE_API_KEY_FILE": str(tmp_path / "good"),
            "GOOGLE_API_KEY": "another",
        }
    )
    assert names(faults) == {
        "OPENAI_API_KEY_FILE",
        "ANTHROPIC_API_KEY_FILE",
        "SECRET_KEY_FILE",
        "GOOGLE_API_KEY_FILE",
    }


def test_what_was_resolved_stays_as_it_is() -> None:
    once, _ = resolve({**SECRET, **DATABASE, "DATABASE_PASSWORD": PASSWORD, "REDIS_HOST": "x"})
    assert resolve(once) == (once, [])


def test_a_secret_key_that_had_white_space_is_still_known_with_it() -> None:
    given = SECRET["SECRET_KEY"] + "\n"
    environ, _ = resolve({"SECRET_KEY": given})
    assert environ == {**SECRET, "SECRET_KEY_PREVIOUS": given}
    assert resolve(environ)[0] == environ


def test_what_litellm_reads_for_a_base_url_counts_where_the_setting_is_missing() -> None:
    base = {"MISTRAL_API_BASE": " https://eu.mistral.test/v1 "}
    assert resolve(base)[0]["MISTRAL_BASE_URL"] == "https://eu.mistral.test/v1"
    both = {**base, "MISTRAL_BASE_URL": "https://llm.test/v1"}
    assert resolve(both)[0]["MISTRAL_BASE_URL"] == "https://llm.test/v1"
