"""The demo's work on a running platform: submit, follow to the end, search, compare."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from factory.cli.follow import has_ended
from factory.cli.gateway import Gateway
from factory.cli.platform import Platform
from factory.cli.progress import Progress
from factory.cli.receiver import Receiver, running_receiver
from factory.cli.scenario import (
    BULK_LABEL,
    EMBEDDING_MODEL,
    LABEL,
    QUESTION,
    Body,
    Trial,
    bulk_bodies,
    read_documents,
    trials,
)
from factory.cli.verdict import find_mismatches
from factory.domain.state import State
from factory.webhooks.sign import derive_secret

PATIENCE_S = 300.0
"""The jobs take seconds on an idle machine; embedding alone took over a minute where 17 programs shared two cores."""
LOOK_S = 0.4
PAGE = 100
HITS = 3

Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the demo observed."""

    jobs: list[Job]
    webhooks: int
    hits: list[dict[str, Any]]
    wrong: list[str]


def exercise(platform: Platform, console: Console, chat_model: str | None) -> Findings:
    """Runs jobs of every kind and checks each. Raises what the gateway answers in error."""
    installation = platform.installation
    secret = derive_secret(installation.settings.secret_key, str(installation.project_id))
    with (
        closing(Gateway(platform.addresses.api_url, installation.api_key)) as gateway,
        running_receiver(secret) as receiver,
    ):
        alone = trials(receiver.url, read_documents(), chat_model)
        bulk = bulk_bodies(receiver.url, chat_model)
        _submit(gateway, alone, bulk)
        with Progress(console, len(bulk), len(bulk) + len(alone)) as progress:
            jobs = _follow(gateway, receiver, progress, len(bulk) + len(alone))
        hits = _search(gateway)
        wrong = find_mismatches(jobs, _ends(alone), receiver.events(), receiver.forged)
        if not hits:
            wrong.append("the search found nothing")
        return Findings(jobs, len(receiver.events()), hits, wrong)


def _ends(alone: list[Trial]) -> dict[str, str]:
    ends = {trial.label: trial.ends.value for trial in alone}
    return {**ends, BULK_LABEL: State.SUCCEEDED.value}


def _submit(gateway: Gateway, alone: list[Trial], bulk: list[Body]) -> None:
    for trial in alone:
        gateway.post("/api/jobs", trial.body)
    gateway.post_lines("/api/jobs/bulk", "\n".join(map(json.dumps, bulk)).encode())


def _follow(gateway: Gateway, receiver: Receiver, progress: Progress, expected: int) -> list[Job]:
    """The jobs, once all have ended and their webhooks have come, or as they are when the time is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        jobs, webhooks = _list_all(gateway), len(receiver.events())
        progress.update(jobs, webhooks)
        ended = sum(1 for job in jobs if has_ended(job))
        if ended == webhooks == expected or time.monotonic() > deadline:
            return jobs
        time.sleep(LOOK_S)


def _list_all(gateway: Gateway) -> list[Job]:
    """Every job of the demo; the database is its own, so there are no others but its searches."""
    jobs: list[Job] = []
    params: dict[str, str | int] = {"limit": PAGE}
    while True:
        page = gateway.get("/api/jobs", params)
        jobs += [job for job in page["data"] if LABEL in job["metadata"]]
        if not page["has_more"]:
            return jobs
        params["after"] = page["last_id"]


def _search(gateway: Gateway) -> list[dict[str, Any]]:
    question = {"query": QUESTION, "model": EMBEDDING_MODEL, "limit": HITS}
    hits: list[dict[str, Any]] = gateway.post("/api/search", question)["data"]
    return hits
