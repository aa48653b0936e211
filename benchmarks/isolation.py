"""How a provider that hangs, a greedy tenant and a flood of jobs affect others.

One worker with 40 slots on the measured core; the others have jobs of 1 s for half of the slots, before the trouble
comes and while it lasts. Calm and troubled phases alternate; of each kind the median of its p95 counts. A job's time
is from its acceptance to its end, both by Postgres' clock.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from uuid import UUID

from benchmarks.figures import Figure, at_most, at_most_times
from benchmarks.stand import Scale, Stand, running_stand, until
from factory.domain.principal import Principal
from factory.kinds.request import JobRequest
from factory.limits.backlog import Backpressure
from factory.llm.catalog import load_catalog
from factory.pipeline.accept.bulk import Bulks, Line
from factory.pipeline.accept.submit import Intake, submit
from factory.pipeline.wakeup import WakeUpSender
from factory.store import projects
from factory.store.archive import EVERY_JOB
from factory.store.database import ids, rows, run

SLOTS = 40
PACE_PER_S = SLOTS / 2
CALL_MS = 1000
ROUNDS = 3
WARM_S = 1.25
"""Seconds until the others hold the slots that they need. Then the trouble starts, and the jobs that they submit
count.
"""
HANGING = 10 * SLOTS
TENANT_JOBS, TENANT_CALL_S = 5000, 30
FLOOD_PER_S = 1.5 * SLOTS
OPENAI = "openai/gpt-4o-mini"
OTHERS = ("anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "ollama/llama3.2")
TOOK = f"""
SELECT extract(epoch FROM finished_at - created_at)::float8 AS s FROM {EVERY_JOB} j
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'succeeded'
"""
LEFT = "SELECT count(*) AS jobs FROM jobs WHERE state = 'running' OR (state = 'queued' AND run_at <= now())"
END = """
UPDATE jobs SET cancel_requested_at = now() WHERE project_id = %(project)s AND state = 'running';
UPDATE jobs SET run_at = now() + interval '1 year' WHERE project_id = %(project)s AND state = 'queued'
"""
"""Ends the trouble: what runs is stopped, and what waits would wait longer than the benchmark takes."""


@dataclass(frozen=True)
class Trial:
    """Two projects on one platform: the others, and the one that makes trouble."""

    stand: Stand
    intake: Intake
    bulks: Bulks
    others: Principal
    troublemaker: Principal
    seconds: float
    """What a phase measures."""

    def request(self, model: str, script: str, **changes: object) -> JobRequest:
        body = {"model": model, "input": f"{{{{simulate {script}}}}} Go.", **changes}
        return JobRequest.model_validate(body)

    def submit_many(self, count: int, request: JobRequest) -> None:
        """Jobs of the troublemaker, all at once."""
        lines = [Line(number, request) for number in range(1, count + 1)]
        self.bulks.submit(self.troublemaker, lines)

    def phase_p95_s(self, models: Sequence[str], trouble: Callable[[], None]) -> float:
        """What 19 of 20 jobs of the others took, from when the trouble came."""
        with ThreadPoolExecutor(1) as hand:
            warm = self._submit_paced(models, WARM_S)
            coming = hand.submit(trouble)
            counted = self._submit_paced(models, self.seconds)
            coming.result()
        until(lambda: len(self._took(counted)) == len(counted))
        took = sorted(self._took(counted))
        self.end_trouble()
        until(lambda: not self._left())
        assert len(warm) > SLOTS / 4
        return took[int(0.95 * (len(took) - 1))]

    def end_trouble(self) -> None:
        with self.stand.services.database.transaction() as tx:
            run(tx, END, {"project": str(self.troublemaker.project_id)})

    def _submit_paced(self, models: Sequence[str], seconds: float) -> list[UUID]:
        dice, found = random.Random(1), []
        started = time.monotonic()
        for number in range(int(seconds * PACE_PER_S)):
            # Pauses vary from half to one and a half times the pace, so that submissions neither coincide with other
            # cycles nor bunch.
            due = started + (number + dice.uniform(-0.5, 0.5)) / PACE_PER_S
            time.sleep(max(0.0, due - time.monotonic()))
            request = self.request(models[number % len(models)], f"latency_ms={CALL_MS}")
            found.append(submit(self.intake, self.others, request).id)
        return found

    def _took(self, job_ids: Sequence[UUID]) -> list[float]:
        with self.stand.services.database.transaction() as tx:
            return [row.s for row in rows(tx, TOOK, {"ids": ids(job_ids)})]

    def _left(self) -> int:
        with self.stand.services.database.transaction() as tx:
            return int(rows(tx, LEFT)[0].jobs)


def figures(scale: Scale) -> Iterator[Figure]:
    """Nobody's trouble is everybody's."""
    with _trial(2.0 if scale.quick else 10.0) as trial:
        trial.phase_p95_s((OPENAI, *OTHERS), _nothing)  # connections and caches
        yield _beside_a_hang(trial)
        yield _beside_a_tenant(trial)
        yield _webhooks_in_a_flood(trial)


def _beside_a_hang(trial: Trial) -> Figure:
    hanging = trial.request(OPENAI, "hang")
    calm, troubled = _alternated(trial, OTHERS, lambda: trial.submit_many(HANGING, hanging))
    note = f"{HANGING} jobs of a provider that hangs on {SLOTS} slots; three others at {PACE_PER_S:g} jobs/s, p95"
    goal = at_most_times(1.3)
    return Figure("isolation_hang", 1000 * troubled, "ms", goal, 1000 * calm, "calm", note)


def _beside_a_tenant(trial: Trial) -> Figure:
    long = trial.request(OPENAI, f"latency_ms={1000 * TENANT_CALL_S}")
    calm, troubled = _alternated(trial, (OPENAI,), lambda: trial.submit_many(TENANT_JOBS, long))
    slot_s = TENANT_CALL_S / SLOTS
    note = (
        f"another project with {TENANT_JOBS:,} jobs of {TENANT_CALL_S} s at the same provider, p95 "
        f"{1000 * troubled:.0f} ms; without the {1000 * slot_s:.0f} ms in which one of {SLOTS} slots frees"
    )
    ours, goal = 1000 * (troubled - slot_s), at_most_times(1.5)
    return Figure("isolation_tenant", ours, "ms", goal, 1000 * calm, "calm", note)


def _alternated(
    trial: Trial, models: Sequence[str], trouble: Callable[[], None]
) -> tuple[float, float]:
    phases = [
        (trial.phase_p95_s(models, _nothing), trial.phase_p95_s(models, trouble))
        for _ in range(ROUNDS)
    ]
    calm, troubled = zip(*phases, strict=True)
    return median(calm), median(troubled)


def _nothing() -> None:
    """What comes in a calm phase."""


@dataclass
class Inbox:
    """When each event came after the end that it tells of, in seconds."""

    delays_s: list[float] = field(default_factory=list)

    def take(self, event: dict[str, dict[str, str]]) -> None:
        ended = datetime.fromisoformat(event["data"]["finished_at"])
        self.delays_s.append((datetime.now(UTC) - ended).total_seconds())


def _webhooks_in_a_flood(trial: Trial) -> Figure:
    phases, count = [], 0
    with _receiver() as (url, inbox):
        for _ in range(ROUNDS):
            inbox.delays_s.clear()
            _flood(trial, url)
            delays = sorted(inbox.delays_s)
            phases.append(delays[int(0.95 * (len(delays) - 1))])
            count += len(delays)
    note = f"from a job's end to its webhook, {count} webhooks, `high` jobs at {FLOOD_PER_S:g} a second on {SLOTS} slots"
    return Figure("isolation_webhooks", 1000 * median(phases), "ms", at_most(1000), note=note)


def _flood(trial: Trial, url: str) -> None:
    """More jobs of one priority than there are slots for, each with a webhook."""
    script = f"latency_ms={CALL_MS}"
    request = trial.request(OPENAI, script, priority="high", webhook={"url": url})
    part = int(FLOOD_PER_S / 10)
    until_s = time.monotonic() + trial.seconds + WARM_S
    while time.monotonic() < until_s:
        trial.submit_many(part, request)
        time.sleep(0.1)
    until(lambda: not trial._left())


@contextmanager
def _receiver() -> Iterator[tuple[str, Inbox]]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()
            inbox.take(json.loads(body))

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 512  # a full queue would be measured as a late webhook

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", inbox
        server.shutdown()


@contextmanager
def _trial(seconds: float) -> Iterator[Trial]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        services = stand.services
        with services.database.transaction() as tx:
            others, troublemaker = (
                Principal(frozenset({projects.ensure(tx, one).id}), one)
                for one in ("others", "trouble")
            )
        intake = Intake(
            services, load_catalog(""), WakeUpSender(services.redis), Backpressure(services)
        )
        stand.start("workers.dispatcher")
        stand.start_worker(SLOTS)
        yield Trial(stand, intake, Bulks(intake), others, troublemaker, seconds)
        intake.wake_up.stop()
