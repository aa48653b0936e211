from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from factory.cli.details import details_lines
from factory.cli.output import print_rich
from factory.cli.progress import waiting_for
from factory.cli.render import cost_text, job_line, jobs_table, moment, result_text, table
from factory.cli.verdict import find_mismatches, summary_table


def job(**changes: Any) -> dict[str, Any]:
    given = {
        "id": "job_" + "0" * 32,
        "state": "succeeded",
        "lane": "openai.normal",
        "provider": "openai",
        "model": "openai/gpt-4o-mini",
        "attempt": 1,
        "max_attempts": 5,
        "deferrals": 0,
        "position": None,
        "usage": {"input_tokens": 12, "output_tokens": 34, "cached_tokens": 0},
        "cost_usd": 0.000046,
        "error": None,
        "result": {"text": "blue"},
        "metadata": {"demo": "OpenAI"},
        "created_at": "2026-11-25T02:00:00Z",
        "finished_at": "2026-11-25T02:00:01Z",
    }
    return {**given, **changes}


def drawn(thing: Any, width: int = 200) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(thing)
    return out.getvalue()


def test_an_unknown_cost_is_not_shown_as_nothing() -> None:
    assert cost_text(job(cost_usd=None)) == "unknown"
    assert cost_text(job(cost_usd=None, finished_at=None)) == "-"
    assert cost_text(job(cost_usd=0.0)) == "$0.000000"


def test_a_table_without_a_terminal_has_no_control_codes() -> None:
    assert "\x1b" not in drawn(jobs_table([job()]))


def test_a_narrow_terminal_folds_no_id() -> None:
    long = job(model="openai/all-minilm-l6-v2-and-more", state="succeeded")
    for width in (60, 80):
        assert long["id"] in drawn(jobs_table([long], width), width)


def test_times_are_told_to_the_second() -> None:
    assert moment("2026-11-29T21:51:54.949370Z") == "2026-11-29 21:51:54"


def test_all_of_a_job_is_told_in_plain_lines() -> None:
    error = {"type": "provider_overloaded", "message": "openai answered 503", "retryable": True}
    call = {
        "attempt": 1,
        "step": "answer",
        "model": "openai/gpt-4o-mini",
        "state": "failed",
        "latency_ms": 64,
        "http_status": 503,
        "error": error,
        "cost_usd": 0.0,
    }
    asked = [{"role": "user", "content": "Why?"}]
    lines = details_lines(job(error=error, attempts=[call, call], input=asked, metadata={}))
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert told["error"] == "provider_overloaded: openai answered 503"
    assert told["input"] == "user: Why?"
    assert told["result"] == "blue"
    assert told["usage"] == "12 input, 34 output, 0 cached"
    assert told["cost_usd"] == "$0.000046"
    words = "openai/gpt-4o-mini  failed  64 ms  HTTP 503  $0.000000  provider_overloaded: openai"
    assert sum(words in line for line in lines) == 2
    assert not {"metadata", "position"} & told.keys()


def test_a_webhook_is_told_in_a_line() -> None:
    webhook = {
        "url": "http://127.0.0.1/hook",
        "state": "queued",
        "attempts": 2,
        "last_status": 501,
        "last_error": "the receiver answered 501",
        "next_at": "2026-11-29T22:06:52.199194Z",
    }
    assert details_lines({"webhook": webhook}) == [
        "webhook  http://127.0.0.1/hook  queued  attempts 2  the receiver answered 501"
        "  next 2026-11-29 22:06:52"
    ]


@pytest.mark.parametrize(
    ("wait", "line"),
    [
        ({"until": "2026-11-29T23:00:00Z", "jobs": None, "type": "time"}, "time  since 2026-11-29 22:06:52  until 2026-11-29 23:00:00"),
        ({"until": None, "jobs": ["job_1", "job_2"], "type": "children"}, "children  job_1  job_2  since 2026-11-29 22:06:52"),
    ],
)  # fmt: skip
def test_a_wait_is_told_in_a_line(wait: dict[str, Any], line: str) -> None:
    shown = {**wait, "since": "2026-11-29T22:06:52.199194Z"}
    assert details_lines({"waiting_for": shown}) == [f"waiting_for  {line}"]


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    assert "[red]m[/red]" in drawn(jobs_table([job(model="[red]m[/red]")]))


def test_a_failed_job_says_why_in_its_line() -> None:
    line = job_line(job(state="failed", error={"type": "provider_refused", "message": "no"}))
    assert "failed" in line
    assert "provider_refused: no" in line


def test_a_result_without_a_text_is_shown_as_json() -> None:
    assert result_text(job(result={"chunks": 3})) == '{\n  "chunks": 3\n}'


def test_a_sum_that_lacks_a_part_says_so() -> None:
    assert "1 unknown" in drawn(summary_table([job(), job(cost_usd=None)]))


def test_all_as_it_should_be_is_no_mismatch() -> None:
    one = job()
    events = {one["id"]: {"type": "job.succeeded"}}
    assert find_mismatches([one], {"OpenAI": "succeeded"}, events, forged=0) == []


def test_each_mismatch_is_told() -> None:
    one = job(state="failed")
    wrong = find_mismatches([one], {"OpenAI": "succeeded"}, {}, forged=1)
    assert len(wrong) == 3
    assert "no valid signature" in wrong[0]
    assert "is failed, not succeeded" in wrong[1]
    assert "no webhook came" in wrong[2]


def test_a_job_that_has_not_ended_is_not_told_as_one_that_ended_wrong() -> None:
    one = job(state="running", finished_at=None)
    [wrong] = find_mismatches([one], {"OpenAI": "succeeded"}, {}, forged=0)
    assert "is still running" in wrong


def test_what_the_demo_waits_for_is_named_once_each() -> None:
    open_jobs = [job(finished_at=None), job(finished_at=None)]
    assert waiting_for([*open_jobs, job()], 3) == "OpenAI"
    assert waiting_for([job()], 3) == "3 webhooks"


def test_a_table_without_a_terminal_has_no_white_space_at_the_end_of_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rich(table(("check", "found"), [("short", "a"), ("long", "a" * 70)]))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["check  found", "short  a", f"long   {'a' * 70}"]
