from __future__ import annotations

import json
import signal
import socket

from tests.integration.cli.conftest import CommandLine, stop
from tests.integration.embedded.processes import processes_in, until


def test_after_a_kill_the_next_up_has_the_same_key_and_jobs(command_line: CommandLine) -> None:
    first = command_line.up()
    assert first.stdout is not None
    key = json.loads(first.stdout.readline())["api_key"]
    job_id = command_line.run("submit", "x", "-m", "openai/gpt-4o-mini").stdout.strip()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: not processes_in(command_line.directory))
    second = command_line.up()
    try:
        assert second.stdout is not None
        assert json.loads(second.stdout.readline())["api_key"] == key
        assert command_line.json("jobs", "show", job_id)["id"] == job_id
    finally:
        assert stop(second) == 0
    assert not processes_in(command_line.directory)


def test_packages_in_the_working_directory_do_not_get_in_the_way(
    command_line: CommandLine,
) -> None:
    for name in ("api", "workers"):
        (command_line.directory / name).mkdir()
        (command_line.directory / name / "__init__.py").touch()
    process = command_line.up()
    assert process.stdout is not None
    first_line = process.stdout.readline()
    assert stop(process) == 0, (command_line.directory / "up.log").read_text()
    assert first_line


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(command_line: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command_line.run("up", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "is taken" in done.stderr


def test_a_bad_agent_file_is_named_with_its_field(command_line: CommandLine) -> None:
    agents = command_line.directory / "agents"
    agents.mkdir()
    (agents / "editor.yaml").write_text("name: editor\nmodel: openai/gpt-99\n")
    done = command_line.run("up")
    assert done.returncode == 2
    assert "editor.yaml: model: unknown model" in done.stderr
    assert not processes_in(command_line.directory)


def test_without_an_installation_commands_say_what_to_start(command_line: CommandLine) -> None:
    done = command_line.run("jobs", "list")
    assert done.returncode == 5
    assert "factory up" in done.stderr


def test_a_gateway_that_does_not_answer_exits_5(command_line: CommandLine) -> None:
    done = command_line.run("jobs", "list", "--url", "http://127.0.0.1:1", "--key", "k")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
