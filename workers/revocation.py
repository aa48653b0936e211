"""`revoke` for a job whose message carries others as well.

Celery and Flower revoke messages by id. That of a message with one job is the job's; one with many jobs has an id of
its own, and Flower shows the jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from celery.worker import state
from celery.worker.control import Panel
from kombu.utils.functional import maybe_list

from factory.domain.job import parse_id
from factory.errors import NotFound

Revoke = Callable[..., Any]


def not_revoked(job_ids: Sequence[str]) -> list[UUID]:
    """The jobs that this worker was not told to leave alone."""
    return [parse_id(job_id) for job_id in job_ids if job_id not in state.revoked]


def revoking(revoke: Revoke, cancel: Callable[[UUID], None]) -> Revoke:
    """Celery's command `revoke`, which then also ends jobs that are no messages, if it is to end what runs."""

    def revoke_jobs(consumer: Any, task_id: Any, terminate: bool = False, **options: Any) -> Any:
        named = [str(one) for one in maybe_list(task_id) or ()]  # type: ignore[no-untyped-call]
        messages = {one for one in named if one in state.requests}
        answer = revoke(consumer, task_id, terminate=terminate, **options)
        for one in named if terminate else ():
            if one not in messages:
                _cancel(one, cancel)
        return answer

    return revoke_jobs


def register(cancel: Callable[[UUID], None]) -> None:
    """Once a process, before the worker starts. `cancel` ends a job that runs here, and ignores others."""
    Panel.data["revoke"] = revoking(Panel.data["revoke"], cancel)


def _cancel(name: str, cancel: Callable[[UUID], None]) -> None:
    try:
        cancel(parse_id(name))
    except NotFound:  # a message's id
        return
