"""The demo: an installation in a temporary directory, put to work, judged and cleared away."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from factory.cli.exercise import Findings, exercise
from factory.cli.interrupt import one_interrupt
from factory.cli.output import complain, open_console, print_json
from factory.cli.platform import LOCAL_MODEL, FirstPorts, Platform, prepared_platform
from factory.cli.programs import Layout
from factory.cli.progress import split, trials_table
from factory.cli.providers import to_simulate
from factory.cli.render import result_text, table
from factory.cli.scenario import QUESTION
from factory.cli.surroundings import platform_environment
from factory.cli.verdict import summary_table
from factory.config import consumed_names
from factory.embedded.home import Home
from factory.embedded.local_llm import demand_packages
from factory.embedded.supervisor import Supervisor
from factory.errors import FactoryError

LOG_TAIL_LINES = 30
EXCERPT_CHARS = 70
DRAIN_S = 5.0
FIRST_PORTS = FirstPorts(
    api=18000,
    metrics=19000,
    flower=19500,
    simulator=18500,
    local_llm=18600,
    gateway_metrics=19100,
)
"""Away from those of `factory up`, so that a demo never takes one from it."""
VARIABLES = {
    "WEBHOOK_ALLOW_LOOPBACK": "true",
    # Empty means unset: the demo uses its own servers, whatever the environment names.
    **dict.fromkeys(
        ("DATABASE_URL", "REDIS_URL", "LIMITER_REDIS_URL", "SECRET_KEY", "SECRET_KEY_PREVIOUS"), ""
    ),
    **dict.fromkeys((name for name in consumed_names() if not name.endswith("_API_KEY_FILE")), ""),
    "AGENTS_DIR": "no-agents",
}


def run_showcase(*, local_llm: bool, as_json: bool) -> Findings:
    """Runs the demo, prints it, and gives what it found. Leaves nothing behind.

    `local_llm`: a real model on this machine answers, instead of the simulated providers. An error
    shows the end of the programs' log before it goes on.
    """
    if local_llm:
        demand_packages()
    console = open_console(sys.stderr if as_json else sys.stdout)
    with one_interrupt(), tempfile.TemporaryDirectory(prefix="factory-demo-") as directory:
        log_path = Path(directory, "programs.log")
        try:
            with _running_platform(Path(directory), log_path, console, local_llm) as platform:
                _introduce(platform, console)
                findings = exercise(platform, console, LOCAL_MODEL if local_llm else None)
        except FactoryError:
            _show_log(log_path)
            raise
        if findings.wrong:
            _show_log(log_path)
    _sum_up(console, findings)
    if as_json:
        print_json(_document(findings))
    return findings


@contextmanager
def _running_platform(
    directory: Path, log_path: Path, console: Console, local_llm: bool
) -> Iterator[Platform]:
    answering = "local model" if local_llm else "simulator"
    console.print(f"Starting Postgres, Valkey, gateway, dispatcher, worker and {answering} …")
    layout = Layout(simulator=not local_llm, local_llm=local_llm, drain_s=DRAIN_S)
    simulated = () if local_llm else to_simulate({}, force=True)
    home = Home(directory / "home")
    environ = platform_environment(VARIABLES)
    with (
        log_path.open("w") as log,
        prepared_platform(home, layout, simulated, "127.0.0.1", FIRST_PORTS, environ) as platform,
    ):
        supervisor = Supervisor(platform.programs, log)
        supervisor.start()
        try:
            yield platform
        finally:
            supervisor.stop()


def _introduce(platform: Platform, console: Console) -> None:
    console.print("Up, until the demo ends:\n")
    for line in platform.banner().lines():
        console.print(Text(line), soft_wrap=True)
    console.print()


def _sum_up(console: Console, findings: Findings) -> None:
    alone, _ = split(findings.jobs)
    console.print()
    console.print(trials_table(alone))
    answered = next((job for job in alone if job["state"] == "succeeded"), None)
    if answered:
        console.print(Text(f"\n{answered['model']} answered: {result_text(answered)}"))
    console.print(Text(f"\nSearch: {QUESTION}"))
    console.print(table(("score", "source", "text"), (_hit_cells(hit) for hit in findings.hits)))
    console.print()
    console.print(summary_table(findings.jobs))
    console.print(Text(f"\n{findings.webhooks} webhooks verified"))
    for wrong in findings.wrong:
        console.print(Text(f"demo: WRONG: {wrong}"), soft_wrap=True)
    verdict = "FAILED" if findings.wrong else "ok"
    console.print(Text(f"demo: {verdict} {len(findings.jobs)} jobs"))


def _hit_cells(hit: dict[str, object]) -> tuple[object, ...]:
    text = " ".join(str(hit["content"]).split())
    return f"{hit['score']:.3f}", hit["source"], text[:EXCERPT_CHARS]


def _document(findings: Findings) -> dict[str, object]:
    return {
        "ok": not findings.wrong,
        "jobs": len(findings.jobs),
        "webhooks": findings.webhooks,
        "hits": findings.hits,
        "wrong": findings.wrong,
    }


def _show_log(path: Path) -> None:
    if path.exists():
        lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        complain("the end of the programs' log:\n" + "\n".join(lines))
