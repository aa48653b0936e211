"""Smoke and load against a running platform, and what they say of one that does not work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.load.__main__ import main as load
from deploy.smoke.__main__ import main as smoke
from deploy.smoke.platform import own_platform
from deploy.smoke.steps import STEPS, Target

pytestmark = pytest.mark.timeout(600)
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def platform() -> Iterator[Target]:
    with own_platform(90) as target:
        yield target


def smoked(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    code = smoke([*options, "--json"])
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [one["name"] for one in steps] == [name for name, _ in STEPS]
    return code, {one["name"]: one["status"] for one in steps}


def test_every_part_of_a_platform_is_looked_at(
    platform: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--url", platform.url, "--key", platform.key]
    options += ["--webhook-secret", platform.webhook_secret or ""]
    options += ["--exporter", platform.exporter or ""]
    code, found = smoked(capsys, *options)
    skipped = {"project": "skipped", "task": "skipped"}
    assert (code, found) == (0, {**dict.fromkeys(found, "ok"), **skipped})


def test_what_cannot_be_looked_at_is_skipped_and_said(
    platform: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke(["--url", platform.url, "--key", platform.key]) == 0
    said = capsys.readouterr().out
    assert "smoke webhook SKIP: give --webhook-secret" in said
    assert "smoke metric SKIP: name where metrics are" in said


@pytest.mark.parametrize(
    ("options", "broken"),
    [
        (["--webhook-secret", "whsec_" + "A" * 32], {"webhook"}),
        (["--exporter", NOBODY], {"ready", "metric"}),
        (["--model", "openai/gpt-4o-mini-does-not-exist"], {"job"}),
        (["--key", "af_000000000000_nothing"], {"job"}),
    ],
)
def test_what_does_not_work_fails_its_step(
    platform: Target, capsys: pytest.CaptureFixture[str], options: list[str], broken: set[str]
) -> None:
    asked = ["--url", platform.url, "--key", platform.key, "--timeout", "10", *options]
    code, found = smoked(capsys, *asked)
    failed = {name for name, status in found.items() if status == "failed"}
    assert code == 1
    assert failed & broken, found


def test_a_gateway_that_is_not_there_fails_every_step_that_asks_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, found = smoked(capsys, "--url", NOBODY, "--key", "none")
    assert (code, found["health"], found["ready"], found["job"]) == (1, *["failed"] * 3)


def test_a_platform_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = tmp_path / "factory"
    error = json.dumps({"error": {"message": "postgres could not create its data"}})
    refusing.write_text(f"#!/bin/sh\necho '{error}'\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr("deploy.smoke.platform.FACTORY", refusing)
    assert smoke([]) == 1
    assert "postgres could not create its data" in capsys.readouterr().err


def test_a_short_load_is_measured_and_drawn(platform: Target, tmp_path: Path) -> None:
    options = ["--url", platform.url, "--key", platform.key, "--model", platform.model]
    options += ["--rate", "20", "--users", "4", "--out", str(tmp_path)]
    wanted, names = {"all", "POST /api/jobs", "GET /api/jobs/{id}"}, set[str]()
    # Users draw what they do; a busy machine lets them do little in a few seconds.
    for seconds in ("4", "20", "60"):
        load([*options, "--seconds", seconds])
        found = json.loads((tmp_path / "report.json").read_text())
        names = {row["name"] for row in found["rows"]}
        if names >= wanted:
            break
    assert names >= wanted
    assert sum(row["failures"] for row in found["rows"]) == 0
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def test_a_load_ends_at_its_number_of_requests(platform: Target, tmp_path: Path) -> None:
    options = ["--url", platform.url, "--key", platform.key, "--model", platform.model]
    load([*options, "--rate", "50", "--requests", "20", "--seconds", "60", "--out", str(tmp_path)])
    [*_, everything] = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert 20 <= everything["requests"] < 100


def test_a_load_without_answers_fails(tmp_path: Path) -> None:
    options = ["--url", NOBODY, "--key", "none", "--model", "openai/gpt-4o-mini"]
    assert load([*options, "--seconds", "2", "--rate", "5", "--out", str(tmp_path)]) == 1


def test_another_platform_is_loaded_only_with_a_model_that_was_chosen() -> None:
    with pytest.raises(SystemExit):
        load(["--url", "http://127.0.0.1:1", "--key", "none"])
