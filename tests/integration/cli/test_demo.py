from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import CommandLine


def test_the_demo_checks_every_job_and_leaves_nothing(command_line: CommandLine) -> None:
    done = command_line.run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "demo: ok 207 jobs"
    assert "\x1b" not in done.stdout
    assert not list(Path(command_line.directory).iterdir())


@pytest.mark.local_llm
def test_a_real_model_on_this_machine_answers_the_demo(command_line: CommandLine) -> None:
    pytest.importorskip("xllamacpp")
    done = command_line.run("demo", "--llm", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "demo: ok 13 jobs"
