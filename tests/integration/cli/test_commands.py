from __future__ import annotations

import json
import re

from tests.integration.cli.conftest import CommandLine

MODEL = "openai/gpt-4o-mini"


def test_a_job_from_stdin_is_answered(running: CommandLine) -> None:
    job = running.json("submit", "-m", MODEL, "--wait", text="Why?")
    assert job["state"] == "succeeded"
    assert "not a model" in job["result"]["text"]


def test_a_failed_job_exits_1_and_says_why_on_stderr(running: CommandLine) -> None:
    done = running.run("submit", "{{simulate status=400}}", "-m", MODEL, "--wait")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "provider_refused" in done.stderr


def test_patience_that_ends_first_exits_3_and_names_the_job(running: CommandLine) -> None:
    text = "{{simulate latency_ms=250000}}"
    done = running.run("submit", text, "-m", MODEL, "--wait", "--timeout", "0.1")
    assert done.returncode == 3
    [job_id] = re.findall(r"factory watch (job_\w+)", done.stderr)
    running.run("jobs", "cancel", job_id)


def test_bad_input_exits_2_and_a_wrong_key_exits_4(running: CommandLine) -> None:
    assert running.run("submit", "x", "-m", "openai/gpt-99").returncode == 2
    assert running.run("submit", "x", "-m", MODEL, "--key", "af_0_0").returncode == 4


def test_watching_prints_one_json_document_a_change(running: CommandLine) -> None:
    job_id = running.run("submit", "Why?", "-m", MODEL).stdout.strip()
    done = running.run("watch", job_id, "--json")
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert states[-1] == "succeeded"


def test_a_key_works_until_it_is_revoked(running: CommandLine) -> None:
    key = running.json("keys", "create", "billing")["key"]
    prefix = key.split("_")[1]
    assert running.run("keys", "revoke", prefix).returncode == 0
    assert running.run("jobs", "list", "--key", key).returncode == 4


def test_a_second_up_shows_the_running_one(running: CommandLine) -> None:
    assert running.json("up")["api_url"].startswith("http://127.0.0.1:")


def test_a_wrong_setting_is_told_with_the_env_file_that_has_it(command_line: CommandLine) -> None:
    path = command_line.directory / ".env"
    path.write_text("OPENAI_API_KEY=<your key, or nothing>\nDATABASE_URL=postgresql://a@b/c\n")
    done = command_line.run("backup", "list")
    assert done.returncode == 2
    assert f"as {path.resolve()} has it" in done.stderr


def test_a_database_that_is_not_there_is_named_and_no_library(command_line: CommandLine) -> None:
    (command_line.directory / ".env").write_text("DATABASE_URL=postgresql://nobody@127.0.0.1:1/x\n")
    done = command_line.run("db", "status")
    assert done.returncode == 5
    assert done.stderr.startswith("factory: the database does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_doctor_finds_the_servers_of_the_running_installation(running: CommandLine) -> None:
    statuses = {check["name"]: check["status"] for check in running.json("doctor")["checks"]}
    assert [statuses[name] for name in ("Postgres", "pgvector", "schema", "Redis")] == ["ok"] * 4
