"""The command line beside a running platform: what it prints, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.stack import ENDS_S, Stack, eventually, run_factory

MODEL = ("-m", "openai/gpt-4o-mini")


def test_a_text_a_file_and_stdin_are_submitted_alike(platform: Stack, tmp_path: Path) -> None:
    (tmp_path / "question.txt").write_text("Why?")
    answers = [
        platform.cli("submit", "Why?", *MODEL, "--wait"),
        platform.cli("submit", "--file", str(tmp_path / "question.txt"), *MODEL, "--wait"),
        platform.cli("submit", *MODEL, "--wait", text="Why?"),
    ]
    assert {done.returncode for done in answers} == {0}
    # The simulator gives the same answer to the same question.
    assert len({done.stdout for done in answers}) == 1
    assert "not a model" in answers[0].stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("submit", "Why?", *MODEL), 0, ""),
        (("submit", "{{simulate status=400}}", *MODEL, "--wait"), 1, "provider_refused"),
        (("submit", "Why?", "-m", "openai/gpt-99"), 2, "unknown model"),
        (
            ("submit", "{{simulate latency_ms=20000}}", *MODEL, "-w", "--timeout", "0.1"),
            3,
            "goes on",
        ),
        (("jobs", "list", "--key", "af_000000000000_nothing"), 4, "key"),
        (("jobs", "list", "--url", "http://127.0.0.1:1", "--key", "k"), 5, "nothing answers"),
    ],
)
def test_an_exit_code_tells_what_happened(
    platform: Stack, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = platform.cli(*arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_is_listed_shown_and_followed(platform: Stack) -> None:
    job_id = platform.cli("submit", "Why?", *MODEL, "--metadata", "test=listed").stdout.strip()
    watched = platform.cli("watch", job_id, "--json").stdout.splitlines()
    assert json.loads(watched[-1])["state"] == "succeeded"
    listed = platform.cli_json("jobs", "list", "--metadata", "test=listed")
    assert [job["id"] for job in listed["data"]] == [job_id]
    assert platform.cli_json("jobs", "show", job_id)["id"] == job_id
    assert job_id in platform.cli("jobs", "list", "--state", "succeeded").stdout


def test_a_waiting_job_is_cancelled_and_a_failed_one_retried(platform: Stack) -> None:
    waiting = platform.submit(run_at="2100-01-01T00:00:00Z")["id"]
    assert platform.cli_json("jobs", "cancel", waiting)["state"] == "cancelled"
    failed = platform.run("{{simulate status=400 times=1}}")["id"]
    assert platform.cli_json("jobs", "retry", failed)["state"] == "queued"
    assert platform.ended(failed, ENDS_S)["state"] == "succeeded"


def test_queues_and_workers_are_shown(platform: Stack) -> None:
    waiting = platform.submit(model="gemini/gemini-2.5-flash", run_at="2100-01-01T00:00:00Z")
    lanes = {lane["lane"]: lane for lane in platform.cli_json("queues")["data"]}
    assert lanes["gemini.normal"]["queued"] == 1
    assert "gemini.normal" in platform.cli("queues").stdout
    # A beat may be late.
    eventually(lambda: [one["live"] for one in platform.cli_json("workers")["data"]] == [True])
    platform.http.post(f"/api/jobs/{waiting['id']}/cancel")


def test_the_doctor_finds_a_healthy_platform(platform: Stack) -> None:
    checks = platform.cli_json("doctor")["checks"]
    assert {check["name"] for check in checks} >= {"Python", "Postgres", "schema", "Redis"}
    assert not [check for check in checks if check["status"] == "fail"]


def test_without_an_installation_a_command_says_what_to_start(tmp_path: Path) -> None:
    done = run_factory(tmp_path / "home", "jobs", "list")
    assert (done.returncode, "factory up" in done.stderr) == (5, True)
