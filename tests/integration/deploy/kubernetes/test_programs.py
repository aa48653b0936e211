"""The commands and probes of the pods, started and asked as a kubelet does it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.services import Services
from tests.integration.deploy.kubernetes.cluster import Cluster
from tests.integration.deploy.kubernetes.programs import Program, can_seal, eventually

Start = Callable[[str], Program]
LANE = "openai.high"


@pytest.fixture
def program(services: Services, production: Cluster, tmp_path: Path) -> Start:
    """By the name of its workload, on the test's own database and broker."""
    given = services.settings
    servers = {"DATABASE_URL": given.database_url, "REDIS_URL": given.redis_url}
    return lambda name: Program(production.pod(name), production, tmp_path, servers)


def test_the_programs_here_write_nowhere_but_in_their_tmp(program: Start, tmp_path: Path) -> None:
    """A control of the others: they run on a read-only file system."""
    if not can_seal():
        pytest.skip("this account may not mount: the programs run without a read-only file system")
    for path, works in ((tmp_path / "file", True), (Path("/var/tmp/file"), False)):
        done = subprocess.run(program("agent-factory").sealed(["touch", str(path)]), check=False)
        assert (done.returncode == 0) is works


def test_the_gateway_serves_what_its_probes_and_prometheus_ask_for(program: Start) -> None:
    gateway = program("agent-factory")
    with gateway.running():
        eventually(lambda: gateway.holds("readinessProbe"))
        assert gateway.holds("livenessProbe")
        assert "http_requests_total" in gateway.scraped()


def test_the_exporter_is_ready_when_it_answers(program: Start) -> None:
    exporter = program("agent-factory-exporter")
    with exporter.running():
        eventually(lambda: exporter.holds("readinessProbe"))
        assert exporter.holds("livenessProbe")
        assert "queue_depth" in exporter.scraped()


@pytest.mark.parametrize("name", ["agent-factory-dispatcher", "agent-factory-worker-openai"])
def test_one_that_stands_still_is_not_alive(program: Start, name: str) -> None:
    """Before it starts it is not alive either: an old file would let a broken start pass."""
    running = program(name)
    assert not running.holds("startupProbe")
    with running.running() as process:
        eventually(lambda: running.holds("startupProbe"))
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: not running.holds("livenessProbe", within_s=4))
        process.send_signal(signal.SIGCONT)
        eventually(lambda: running.holds("livenessProbe", within_s=4))


def test_the_job_migrates(program: Start) -> None:
    done = program("agent-factory-migrate").run()
    assert done.returncode == 0, done.stderr
    assert "schema at" in done.stdout


@pytest.mark.parametrize(
    ("name", "done"), [("nightly", "vacuumed and analyzed: "), ("weekly", "reindexed: ")]
)
def test_maintenance_runs(program: Start, name: str, done: str) -> None:
    """A database without partitions ahead, as the test's, is a finding of theirs."""
    assert done in program(f"agent-factory-maintenance-{name}").run().stdout


def test_a_backup_is_encrypted_and_lies_on_the_volume(program: Start, tmp_path: Path) -> None:
    from factory.backup.seal import create_identity

    backup = program("agent-factory-backup")
    (tmp_path / "backups").mkdir()
    refused = backup.run()
    assert refused.returncode == 2
    assert "BACKUP_RECIPIENT is not set" in refused.stderr
    made = backup.run(BACKUP_RECIPIENT=create_identity(tmp_path / "key"))
    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "backups").rglob("*.age"))
