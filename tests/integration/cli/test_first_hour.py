"""What a newcomer does in the first hour: every field, every list, every error, and starting again."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import closing
from typing import Any

from factory.cli.ports import Ports
from tests.integration.cli.conftest import FACTORY, STOPS_S, CommandLine, stop

MODEL = "openai/gpt-4o-mini"


def _error(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    return error


def test_the_version_is_told(command_line: CommandLine) -> None:
    done = command_line.run("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "factory")


def test_an_error_is_a_document_where_json_is_asked_for(running: CommandLine) -> None:
    unknown = running.run("submit", "x", "-m", "openai/gpt-99", "--json")
    assert (unknown.returncode, _error(unknown)["param"]) == (2, "model")
    usage = running.run("submit", "--nope", "--json")
    assert (usage.returncode, _error(usage)["type"]) == (2, "usage")
    nobody = running.run("jobs", "list", "--json", "--url", "http://127.0.0.1:1", "--key", "k")
    assert (nobody.returncode, _error(nobody)["type"]) == (5, "service_unavailable")
    assert unknown.stderr == usage.stderr == nobody.stderr == ""


def test_every_field_of_a_job_can_be_given(running: CommandLine) -> None:
    job_id = running.json(
        *("submit", "Why?", "-m", MODEL, "--fallback", "anthropic/claude-haiku-4-5"),
        *("--fallback-on", "refused", "--fallback-on", "cut"),
        *("--run-at", "2999-01-01T00:00:00Z", "--deadline", "600", "--max-attempts", "3"),
        *("--max-cost-usd", "0.5", "--task-id", "018f0000-0000-7000-8000-000000000001"),
    )["id"]
    job = running.json("jobs", "show", job_id)
    assert job["run_at"] == "2999-01-01T00:00:00Z"
    assert (job["max_attempts"], job["max_cost_usd"]) == (3, 0.5)
    assert job["fallbacks"] == ["anthropic/claude-haiku-4-5"]
    assert job["fallback_on"] == ["refused", "cut"]
    assert job["task_id"] == "018f0000-0000-7000-8000-000000000001"
    assert job["deadline_at"]
    running.run("jobs", "cancel", job_id)


def test_models_and_agents_are_listed(running: CommandLine) -> None:
    models = running.json("models", "--provider", "openai")["data"]
    assert MODEL in [model["id"] for model in models]
    assert running.run("models", "--mode", "embedding").returncode == 0
    assert running.json("agents")["object"] == "list"


def test_what_was_embedded_is_found(running: CommandLine) -> None:
    model = "openai/text-embedding-3-small"
    running.json("submit", "Leases are renewed by heartbeats.", "-m", model, "--wait")
    [hit] = running.json("search", "leases", "-m", model, "--limit", "1")["data"]
    assert hit["content"] == "Leases are renewed by heartbeats."


WAITING = ("submit", "{{simulate latency_ms=250000}}", "-m", MODEL, "--wait")


def test_ctrl_c_says_that_the_job_goes_on(running: CommandLine) -> None:
    process = subprocess.Popen(
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        ["env", "--default-signal=INT", *FACTORY, *WAITING],
        cwd=running.directory,
        env=running.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not running.json("jobs", "list", "--state", "running")["data"]:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=STOPS_S)
    assert process.returncode == 130
    job_id = running.json("jobs", "list", "--state", "running")["data"][0]["id"]
    assert f"factory watch {job_id}" in said
    running.run("jobs", "cancel", job_id)


def test_the_banner_can_be_shown_again(running: CommandLine) -> None:
    again = running.run("up").stdout
    for name in ("API key", "metrics", "SIMULATED", "WEBHOOK_ALLOW_LOOPBACK"):
        assert name in again


def test_an_installation_comes_back_as_it_was_until_it_is_reset(command_line: CommandLine) -> None:
    assert command_line.run("reset", "--yes").returncode == 2
    home = command_line.directory / "home"
    first = _up_and_down(command_line)
    with closing(Ports("127.0.0.1")) as ports:
        kept = ports.take_from(27_000)
    (home / "ports.json").write_text(json.dumps({"api": kept}))
    again = _up_and_down(command_line)
    assert again["api_url"] == f"http://127.0.0.1:{kept}"
    assert again["api_key"] == first["api_key"]
    refused = command_line.run("reset", text="n\n")
    assert (refused.returncode, (home / "postgres").exists()) == (2, True)
    assert command_line.run("reset", "--yes").returncode == 0
    assert [path.name for path in home.iterdir()] == ["owner.lock"]


def _up_and_down(command_line: CommandLine) -> dict[str, Any]:
    """What the banner says. Nobody resets what runs."""
    process = command_line.up()
    assert process.stdout is not None
    banner: dict[str, Any] = json.loads(process.stdout.readline())
    assert command_line.run("reset", "--yes").returncode == 2
    assert stop(process) == 0
    return banner
