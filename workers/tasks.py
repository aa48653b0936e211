"""The Celery tasks. What they do is in `factory.pipeline.run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from factory.domain.job import JobError, parse_id
from factory.domain.state import State
from factory.pipeline.run.execute import Observer, execute
from factory.pipeline.run.worker import Worker
from workers.app import WorkerApp
from workers.bridge import CoroutineTask
from workers.events import JobEvents
from workers.messages import RUN_JOBS, RUN_QUARANTINED
from workers.pool import release_slot
from workers.quarantine import Quarantine
from workers.revocation import not_revoked


class JobsTask(CoroutineTask):
    """A message takes as many slots as it carries jobs."""

    abstract = True

    @staticmethod
    def weigh(job_ids: Sequence[str]) -> int:
        return len(job_ids)


def register(
    app: WorkerApp,
    worker: Callable[[], Worker],
    quarantine: Callable[[], Quarantine],
    events: JobEvents,
) -> None:
    """Adds the tasks to the app; `worker` and `quarantine` are this process' once its loop runs."""

    def ended(job_id: UUID, state: State | None, error: JobError | None) -> None:
        release_slot()
        events.ended(job_id, state, error)

    observer = Observer(events.started, ended)

    # No events of Celery's: jobs have their own, see `workers.events`.
    @app.task(name=RUN_JOBS, base=JobsTask, ignore_result=True, send_events=False)  # type: ignore[untyped-decorator]
    async def run_jobs(job_ids: list[str]) -> None:
        await execute(worker(), not_revoked(job_ids), observer)

    # Takes one slot: the jobs run in another process.
    @app.task(name=RUN_QUARANTINED, base=CoroutineTask, ignore_result=True, send_events=False)  # type: ignore[untyped-decorator]
    async def run_quarantined(job_ids: list[str]) -> None:
        await quarantine().run([parse_id(job_id) for job_id in job_ids])
