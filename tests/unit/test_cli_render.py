from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from factory.cli.render import cost_text, job_line, jobs_table, result_text
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


def test_a_narrow_terminal_folds_an_id_and_loses_none_of_it() -> None:
    assert drawn(jobs_table([job()]), width=60).count("0") >= 32


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
