"""The files of Postgres, booted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from deploy.validate.checks.postgres_conf import check_profile
from deploy.validate.servers import ADMIN, PASSWORD, Cluster, new_cluster
from deploy.validate.tools import Invalid
from tests.integration.deploy.tools import DEPLOY, debian_postgres
from tests.integration.settings.certificates import make_authority

PROFILE = DEPLOY / "postgres" / "postgresql-16gb.conf"
HBA = DEPLOY / "postgres" / "pg_hba.conf"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with new_cluster() as cluster:
        yield cluster


def test_a_profile_boots_and_fits_its_machine(cluster: Cluster) -> None:
    check_profile(cluster, PROFILE, HBA, 16)


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ("jit = off", "jti = off", "jti"),
        ("work_mem = 16MB", "work_mem = 160MB", "too much of 16 GB"),
        ("min_wal_size = 1GB", "min_wal_size = 2GB", "min_wal_size is '2GB'"),
    ],
)
def test_a_profile_with_a_mistake_is_refused(
    cluster: Cluster, tmp_path: Path, there: str, here: str, said: str
) -> None:
    text = PROFILE.read_text()
    assert there in text
    broken = tmp_path / "postgresql.conf"
    broken.write_text(text.replace(there, here))
    with pytest.raises(Invalid, match=said):
        check_profile(cluster, broken, HBA, 16)


def test_a_line_of_pg_hba_that_nobody_understands_is_refused(
    cluster: Cluster, tmp_path: Path
) -> None:
    broken = tmp_path / "pg_hba.conf"
    broken.write_text(HBA.read_text() + "host all all everywhere sometimes\n")
    with pytest.raises(Invalid, match="does not start"):
        check_profile(cluster, PROFILE, broken, 16)


def test_from_elsewhere_only_tls_and_the_right_password_are_let_in(tmp_path: Path) -> None:
    certificate, key = make_authority(tmp_path, "postgres").issue("127.0.0.1")
    key.chmod(0o600)
    options = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    # This machine has another address now, and the one that the test has is elsewhere.
    hba = tmp_path / "pg_hba.conf"
    hba.write_text(HBA.read_text().replace("127.0.0.1/32", "127.0.0.9/32"))
    with (
        new_cluster(debian_postgres()) as cluster,
        cluster.running(PROFILE, hba, options) as way,
    ):
        _run(way, "CREATE DATABASE agent_factory_prod")
        place = dict(part.split("=", 1) for part in way.split())
        there = {"host": "127.0.0.1", "port": place["port"], "user": ADMIN}

        def ask(sslmode: str, password: str = PASSWORD) -> None:
            psycopg2.connect(
                sslmode=sslmode, password=password, dbname="agent_factory_prod", **there
            ).close()

        ask("require")
        with pytest.raises(psycopg2.OperationalError, match="no encryption"):
            ask("disable")
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask("require", "wrong")


def _run(way: str, statement: str) -> None:
    connection = psycopg2.connect(way)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
