"""`factory jobs …`: look at jobs, cancel and retry them."""

from __future__ import annotations

from typing import Annotated

import typer

from factory.cli.output import (
    JsonOption,
    KeyOption,
    UrlOption,
    print_json,
    print_lines,
    print_rich,
    terminal_width,
)
from factory.cli.submit import parse_pairs
from factory.domain.state import State

JobId = Annotated[str, typer.Argument(help="job_…")]


def list_jobs(
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    lane: Annotated[str | None, typer.Option(help="Such as openai.high")] = None,
    model: Annotated[str | None, typer.Option(help="<provider>/<model>")] = None,
    agent: Annotated[str | None, typer.Option(help="By name.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="name=value")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    after: Annotated[str | None, typer.Option(help="Older than this job.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest jobs."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import jobs_table

    wanted = {"state": state and state.value, "lane": lane, "model": model, "agent": agent}
    wanted |= {
        f"metadata[{name}]": value
        for name, value in parse_pairs(metadata or [], "--metadata").items()
    }
    params = {name: value for name, value in {**wanted, "after": after}.items() if value}
    page = find_gateway(url, key).get("/api/jobs", {**params, "limit": limit})
    if as_json:
        print_json(page)
        return
    if not page["data"]:
        print_lines(["no jobs"])
        return
    print_rich(jobs_table(page["data"], terminal_width()))
    if page["has_more"]:
        print_lines([f"more: --after {page['last_id']}"])


def show_job(
    job_id: JobId, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """All about one job."""
    from factory.cli.details import details_lines
    from factory.cli.gateway import find_gateway

    job = find_gateway(url, key).get(f"/api/jobs/{job_id}")
    print_json(job) if as_json else print_lines(details_lines(job))


def cancel_job(
    job_id: JobId, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Cancel a job; one that runs is stopped by its worker soon after."""
    _act(job_id, "cancel", url, key, as_json=as_json)


def retry_job(
    job_id: JobId, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Queue a failed job again."""
    _act(job_id, "retry", url, key, as_json=as_json)


def _act(job_id: str, verb: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    from factory.cli.gateway import find_gateway
    from factory.cli.render import job_line

    job = find_gateway(url, key).post(f"/api/jobs/{job_id}/{verb}")
    print_json(job) if as_json else print_lines([job_line(job)])


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="Look at jobs, cancel and retry them.", no_args_is_help=True)
    app.command("list")(list_jobs)
    app.command("show")(show_job)
    app.command("cancel")(cancel_job)
    app.command("retry")(retry_job)
    return app
