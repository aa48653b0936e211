"""An env file of one's own: made once, for its owner's eyes, and the doctor says what it lacks."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from factory.env_file import read_env_file
from tests.integration.cli.conftest import FACTORY, CommandLine


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def of_the_file(document: dict[str, Any]) -> list[dict[str, str]]:
    return [one for one in document["checks"] if one["name"].partition(":")[0] == "prod.env"]


def test_it_has_secrets_only_its_owner_reads_and_what_is_left_is_named(
    command_line: CommandLine,
) -> None:
    made = command_line.json("init-env", "prod.env", "--domain", "api.factory.test")
    path = command_line.directory / "prod.env"
    assert path.stat().st_mode & 0o777 == 0o600
    values = read_env_file(path)
    assert len(values["SECRET_KEY"]) == 64
    assert values["SSL_CERT_PATH"] == "/etc/letsencrypt/live/api.factory.test/fullchain.pem"
    keys = ["ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "SLACK_WEBHOOK_URL"]
    assert sorted(one["name"] for one in made["left"]) == keys


def test_a_file_that_is_there_is_left_alone(command_line: CommandLine) -> None:
    path = command_line.directory / ".env"
    path.write_text("LOG_LEVEL=INFO\n")
    done = command_line.run("init-env")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert path.read_text() == "LOG_LEVEL=INFO\n"


@pytest.mark.parametrize(
    "domain",
    ["https://api.factory.test", "api.factory.test:443", "api.factory.test/", "a b", "a|b", ""],
)
def test_a_domain_that_is_none_is_refused(command_line: CommandLine, domain: str) -> None:
    done = command_line.run("init-env", "prod.env", "--domain", domain)
    assert done.returncode == 2
    assert "--domain is the name alone" in done.stderr
    assert not (command_line.directory / "prod.env").exists()


def test_a_domain_in_capitals_is_the_certificates(command_line: CommandLine) -> None:
    command_line.json("init-env", "prod.env", "--domain", "API.Factory.test")
    values = read_env_file(command_line.directory / "prod.env")
    assert values["SERVER_NAME"] == "api.factory.test"


def test_a_full_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [*FACTORY, "init-env", "prod.env"],
        cwd=tmp_path,
        env=CommandLine(tmp_path).environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        preexec_fn=limit,
    )
    assert done.returncode == 2
    assert "prod.env cannot be written" in done.stderr
    assert list(tmp_path.glob("*.env")) == []


def test_the_doctor_refuses_what_is_left_and_takes_it_once_it_is_filled_in(
    command_line: CommandLine,
) -> None:
    command_line.json("init-env", "prod.env", "--domain", "api.factory.test")
    path = command_line.directory / "prod.env"
    refused = command_line.run("doctor", "--env", "prod.env")
    assert refused.returncode == 1
    assert "OPENAI_API_KEY is a placeholder: put the real value there" in refused.stdout
    path.write_text(path.read_text().replace("<your key, or nothing>", ""))
    path.write_text(path.read_text().replace("<your Slack webhook, or nothing>", ""))
    [check] = of_the_file(command_line.json("doctor", "--env", "prod.env"))
    assert check["status"] == "ok"


def test_the_doctor_tells_a_fault_of_the_file_once_also_where_it_is_the_one_that_counts(
    command_line: CommandLine,
) -> None:
    (command_line.directory / ".env").write_text("OPENAI_API_KEY=<your key, or nothing>\n")
    done = command_line.run("doctor", "--env", ".env")
    assert done.returncode == 1
    assert done.stdout.count("is a placeholder") == 1
    assert "key set" not in done.stdout


def test_the_doctor_looks_for_room_above_a_home_that_is_not_there_yet(tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path / "not" / "made" / "yet")
    done = subprocess.run(
        [*FACTORY, "doctor", "--json"],
        cwd=tmp_path,
        env=command_line.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    names = [one["name"] for one in json.loads(done.stdout)["checks"]]
    assert {"disk", "Postgres"} <= set(names)


def test_the_doctor_names_a_setting_of_the_file_that_a_program_would_refuse(
    command_line: CommandLine,
) -> None:
    (command_line.directory / "prod.env").write_text("LEASE_S=15s\nEXTRA_MODELS=ours\n")
    done = command_line.run("doctor", "--env", "prod.env")
    assert done.returncode == 1
    assert "LEASE_S must be a number" in done.stdout
    assert "EXTRA_MODELS holds 'ours'" in done.stdout
