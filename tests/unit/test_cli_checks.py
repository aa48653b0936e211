"""What the doctor says of the servers' versions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from factory.cli.check import Status
from factory.cli.checks import COMPOSE_HOSTS, check_vector, silent_server


@pytest.mark.parametrize("version", ["0.8.0", "0.8.6", "0.10.0", "1.0"])
def test_a_pgvector_that_scans_on_is_taken(version: str) -> None:
    found = check_vector(version)
    assert (found.status, found.detail) == (Status.OK, version)


@pytest.mark.parametrize("version", ["0.4.0", "0.7.4", None])
def test_a_pgvector_that_searches_cannot_use_is_refused(version: str | None) -> None:
    assert check_vector(version).status is Status.FAIL


def test_a_server_that_compose_alone_knows_is_no_fault_outside_of_it() -> None:
    inside = silent_server("Postgres", "postgresql://a:b@postgres:5432/c", "gone", "DATABASE")
    elsewhere = silent_server("Postgres", "postgresql://a:b@db.internal/c", "gone", "DATABASE")
    assert (inside.status, elsewhere.status) == (Status.WARN, Status.FAIL)
    assert "DATABASE_HOST" in elsewhere.detail


def test_the_names_that_compose_alone_knows_are_those_of_its_file() -> None:
    compose = Path(__file__).parents[2] / "docker-compose.yml"
    assert set(COMPOSE_HOSTS) <= set(yaml.safe_load(compose.read_text())["services"])
