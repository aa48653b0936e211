"""`factory submit` and `factory watch`: submit a job, follow it to its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.exits import ExitCode
from factory.cli.optional_fields import with_optional_fields
from factory.cli.output import JsonOption, KeyOption, UrlOption, print_json, print_lines
from factory.domain.lanes import Priority
from factory.errors import InvalidInput

TIMEOUT_S = 300.0

TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0, help="Longest wait for the end, in seconds.")
]


@with_optional_fields
def submit(
    text: Annotated[
        str | None, typer.Argument(help="The input; - or nothing reads stdin.", show_default=False)
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="A file as input; several only for embedding models."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="<provider>/<model>")] = None,
    agent: Annotated[str | None, typer.Option("--agent", "-a", help="Instead of a model.")] = None,
    priority: Annotated[Priority, typer.Option(help="How urgent it is.")] = Priority.NORMAL,
    params: Annotated[
        str, typer.Option(help='JSON: {"temperature": 0, "json_schema": {…}}')
    ] = "{}",
    metadata: Annotated[list[str] | None, typer.Option(help="name=value, may be repeated.")] = None,
    webhook: Annotated[str | None, typer.Option(help="URL to tell of the end.")] = None,
    fallback: Annotated[
        list[str] | None, typer.Option(help="A model that stands in; may be repeated.")
    ] = None,
    fallback_on: Annotated[
        list[str] | None,
        typer.Option(help="refused, content_filter or cut: also then; may be repeated."),
    ] = None,
    run_at: Annotated[str | None, typer.Option(help="Not before: 2030-01-31T12:00:00Z")] = None,
    deadline_s: Annotated[
        float | None, typer.Option("--deadline", help="Fail after so many seconds.")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="5 without it.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Never costs more.")] = None,
    *,
    optional: dict[str, Any],
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key twice is one job.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the result.")] = False,
    timeout_s: TimeoutOption = TIMEOUT_S,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job. Prints its id, or with --wait its result.

    With --wait the exit code is 1 if the job fails and 3 if it has not ended in time.
    """
    from factory.cli.follow import wait_for_end
    from factory.cli.gateway import find_gateway

    given = {
        "model": model,
        "agent": agent,
        "fallbacks": fallback or None,
        "fallback_on": fallback_on or None,
        "run_at": run_at,
        "deadline_s": deadline_s,
        "max_attempts": max_attempts,
        "max_cost_usd": max_cost_usd,
        **optional,
    }
    body = {
        "input": read_input(text, file or []),
        "params": _parse_object(params, "--params"),
        "priority": priority.value,
        "metadata": parse_pairs(metadata or [], "--metadata"),
        **{name: value for name, value in given.items() if value is not None},
        **({"webhook": {"url": webhook}} if webhook else {}),
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    gateway = find_gateway(url, key)
    job = gateway.post("/api/jobs", body, headers=headers)
    if not wait:
        print_json(job) if as_json else print_lines([job["id"]])
        return
    show_end(wait_for_end(gateway, job, timeout_s), as_json=as_json)


def watch(
    job_id: Annotated[str, typer.Argument(help="job_…")],
    timeout_s: TimeoutOption = TIMEOUT_S,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a job: a line for each change, until it ends. --json: the job as NDJSON."""
    from factory.cli.follow import changes
    from factory.cli.gateway import find_gateway
    from factory.cli.render import job_line

    job: dict[str, Any] = {}
    for job in changes(find_gateway(url, key), job_id, timeout_s):
        print_json(job) if as_json else print_lines([job_line(job)])
    if job["state"] != "succeeded":
        raise typer.Exit(ExitCode.FAILED)


def show_end(job: dict[str, Any], *, as_json: bool) -> None:
    """The result of an ended job, or on stderr why there is none; exits 1 for the latter."""
    from factory.cli.output import complain
    from factory.cli.render import result_text

    succeeded = job["state"] == "succeeded"
    if as_json:
        print_json(job)
    elif succeeded:
        print_lines([result_text(job)])
    else:
        error = job["error"] or {"type": job["state"], "message": "the job has no result"}
        complain(f"{job['id']} {job['state']}: {error['type']}: {error['message']}")
    if not succeeded:
        raise typer.Exit(ExitCode.FAILED)


def read_input(text: str | None, files: list[Path]) -> Any:
    """What the job is about: text, one file's text, several as {source, text}, or stdin.

    Raises InvalidInput if two of them are given or a file cannot be read.
    """
    if text not in (None, "-") and files:
        raise InvalidInput("give either a text or --file, not both", param="input")
    if len(files) == 1:
        return _read_file(files[0])
    if files:
        return [{"source": str(path), "text": _read_file(path)} for path in files]
    if text in (None, "-"):
        if sys.stdin.isatty():
            raise InvalidInput("nothing to submit: give a text, --file or stdin", param="input")
        return sys.stdin.read()
    return text


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """`name=value` texts as a mapping; raises InvalidInput for another form."""
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise InvalidInput(f"{option} {pair!r} must be name=value", param=option)
        parsed[name] = value
    return parsed


def _read_file(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", param="--file") from None


def _parse_object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{option} is not JSON: {error}", param=option) from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{option} must be a JSON object", param=option)
    return value
