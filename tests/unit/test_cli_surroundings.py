"""What `factory up` hands to its programs is what it has found itself, whatever stands in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.cli.surroundings import platform_environment, settings_overlay
from factory.config import load_settings, resolve
from factory.errors import Misconfigured

PASSWORD = "a/b#c@d:e%f"
SECRET = "5f1c0de9a7b34286e2d1f80934c7ab65"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process' environment, without anything that names a setting; set by the test."""
    found: dict[str, str] = {}
    monkeypatch.setattr("os.environ", found)
    monkeypatch.chdir(tmp_path)
    return found


def test_a_program_gets_urls_for_parts_and_secrets_for_files(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / ".env").write_text(
        "DATABASE_HOST=db\nDATABASE_NAME=jobs\nDATABASE_USER=me\n"
        f"DATABASE_PASSWORD='{PASSWORD}'\nREDIS_HOST=cache\nSECRET_KEY_FILE={tmp_path}/secret\n"
    )
    found = platform_environment()
    child, faults = resolve({**environ, **settings_overlay(found)})
    assert not faults
    assert load_settings(child) == load_settings(found)
    assert child["SECRET_KEY"] == SECRET
    assert "a%2Fb%23c%40d%3Ae%25f@db:5432" in child["DATABASE_URL"]
    assert "FACTORY_ENV_FILE" not in child


def test_what_is_empty_stops_no_gunicorn(environ: dict[str, str]) -> None:
    environ["WEB_CONCURRENCY"] = ""
    assert settings_overlay(platform_environment())["WEB_CONCURRENCY"] == "2"


def test_on_its_own_server_weak_settings_are_warned_of_and_wrong_ones_are_refused(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environ.update(OPENAI_API_KEY="changeme", SECRET_KEY="a" * 40)
    found = platform_environment()
    assert "OPENAI_API_KEY" not in found
    assert found["ALLOW_WEAK_SETTINGS"] == "true"
    assert capsys.readouterr().err.count("warning: ") == 2
    environ["WORKER_SLOTS"] = "-5"
    with pytest.raises(Misconfigured, match=r"^WORKER_SLOTS must be 1 or more"):
        platform_environment()
