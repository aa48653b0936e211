"""What a line of the log looks like."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from factory.config import Settings
from factory.log import LONGEST_MESSAGE, configure_logging, job_id


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """The root's handlers are pytest's again after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def settings(log_format: str) -> Settings:
    return Settings(
        database_url="postgresql://nobody:pass%2Fword1@nowhere/x",
        redis_url="redis://:hunter2-hunter2@nowhere",
        secret_key="s3cret" * 6,
        openai_api_key="key-of-the-test",
        log_format=log_format,
    )


def _line_of(capsys: pytest.CaptureFixture[str]) -> str:
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_a_warning_of_many_lines_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("text"), "test")
    logging.getLogger("celery").error("Cannot connect: %s.\nTrying again %s\n", "refused", "soon")
    assert _line_of(capsys) == "ERROR celery Cannot connect: refused. Trying again soon"


def test_a_long_warning_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("json"), "test")
    logging.getLogger("celery").warning("No master found: %s", "<Redis(...)>" * 100)
    message = json.loads(_line_of(capsys))["message"]
    assert message.startswith("No master found: <Redis(...)>")
    assert len(message) == LONGEST_MESSAGE + 1


def test_a_percent_sign_in_a_warning_stays(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("text"), "test")
    logging.getLogger("factory").warning("%s of it", "99 %s")
    assert _line_of(capsys) == "WARNING factory 99 %s of it"


def test_a_line_for_a_terminal_names_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("text"), "test")
    token = job_id.set("job_1")
    logging.getLogger("factory").info("attempt 1 failed")
    job_id.reset(token)
    assert _line_of(capsys) == "INFO factory attempt 1 failed [job_1]"


@pytest.mark.parametrize("name", ["celery.worker", "gunicorn.error", "tornado.access"])
def test_libraries_tell_of_what_goes_wrong_alone(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    configure_logging(settings("text"), "test")
    logging.getLogger(name).info("starting")
    logging.getLogger(name).error("it broke")
    assert _line_of(capsys) == f"ERROR {name} it broke"


def test_what_broke_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("json"), "test")
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("factory").exception("it broke")
    line = json.loads(_line_of(capsys))
    assert line["message"] == "it broke"
    assert "Traceback" in line["exc_info"]


def test_no_secret_is_logged_by_whoever_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings("json"), "test")
    try:
        raise ValueError("headers: {'Authorization': 'Bearer key-of-the-test'}")
    except ValueError:
        logging.getLogger("aiohttp").exception("sent to redis://:hunter2-hunter2@nowhere")
    line = _line_of(capsys)
    assert "key-of-the-test" not in line
    assert "hunter2" not in line
    assert json.loads(line)["message"] == "sent to redis://:[redacted]@nowhere"


def test_half_a_secret_is_not_logged_where_a_line_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(settings("text"), "test")
    logging.getLogger("x").warning("%s key-of-the-test", "a" * (LONGEST_MESSAGE - 9))
    assert "key-of" not in _line_of(capsys)
