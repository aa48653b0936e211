"""logrotate, run for real under programs that write."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.validate.checks.logrotate import check_config, render
from deploy.validate.servers import room
from deploy.validate.tools import Invalid
from tests.integration.deploy.tools import DEPLOY, TOOLS, debian
from tests.integration.reliability.rig import eventually

CONFIG = DEPLOY / "logrotate" / "agent-factory"
LINES, ROTATIONS = 4_000, 5
WRITER = """
import logging, sys
from factory.config import Settings
from factory.log import configure_logging
settings = Settings(database_url="postgresql://x", redis_url="redis://x", secret_key="x" * 32, log_dir=sys.argv[1])
configure_logging(settings, "worker")
for number in range(int(sys.argv[3])):
    logging.getLogger("factory").info("line %s %s", sys.argv[2], number)
    if number % 200 == 0:
        sys.stdin.readline()
"""


def test_no_line_is_lost_while_two_programs_write() -> None:
    logrotate = debian("logrotate")
    with room() as directory:
        logs = directory / "logs"
        logs.mkdir()
        config = render(CONFIG, directory)
        writers = [_writer(logs, name) for name in "ab"]
        # Each rotation falls between lines of both, which are let go on a stretch at a time.
        for rotation in range(ROTATIONS):
            for writer in writers:
                _let_go(writer, LINES // 200 // ROTATIONS)
            eventually(lambda: _both_are_in(logs / "worker.log"))
            TOOLS.run([logrotate, "--force", "--state", directory / "state", config])
            assert len(list(logs.glob("worker.log.*"))) == rotation + 1
        for writer in writers:
            assert writer.stdin
            writer.stdin.close()
            assert writer.wait(60) == 0
        files = list(logs.iterdir())
        found = [json.loads(line)["message"] for file in files for line in _lines(file)]
    assert any(file.suffix == ".gz" for file in files)
    assert len(found) == 2 * LINES
    assert set(found) == {f"line {name} {n}" for name in "ab" for n in range(LINES)}


def test_a_log_that_cannot_be_written_ends_the_program(tmp_path: Path) -> None:
    writer = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path / "missing"), "a", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert writer.returncode == 2
    assert "LOG_DIR" in writer.stderr
    assert "Traceback" not in writer.stderr


def test_a_configuration_with_a_mistake_is_refused(tmp_path: Path) -> None:
    debian("logrotate")
    broken = tmp_path / "broken"
    broken.write_text(CONFIG.read_text().replace("daily", "dayly"))
    (tmp_path / "logs").mkdir()
    here = render(broken, tmp_path)
    with pytest.raises(Invalid, match="dayly"):
        check_config(TOOLS, here, tmp_path / "state")


def _writer(logs: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(logs), name, str(LINES)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True)


def _let_go(writer: subprocess.Popen[str], stretches: int) -> None:
    assert writer.stdin
    writer.stdin.write("\n" * stretches)
    writer.stdin.flush()


def _both_are_in(log: Path) -> bool:
    """Whether neither may still write into the file before this one, which is compressed next."""
    return log.exists() and all(f"line {name} " in log.read_text() for name in "ab")


def _lines(file: Path) -> list[str]:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return data.decode().splitlines()
