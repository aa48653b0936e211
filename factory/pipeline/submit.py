"""Accepting jobs: one transaction, then a poke. Redis may be down; a 2xx means Postgres has the job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.agent import AgentSpec, parse_spec
from factory.domain.job import NewJob, public_id
from factory.errors import IdempotencyMismatch, InvalidInput
from factory.limits.backlog import Gate
from factory.llm.catalog import Catalog
from factory.pipeline.group import Group
from factory.pipeline.poke import Poker
from factory.pipeline.request import JobRequest, prepare
from factory.pipeline.view import error_json, job_json
from factory.services import Services
from factory.store import agents, idempotency, jobs
from factory.store.database import Tx
from factory.webhooks.allowed import AllowedHosts, allowed_hosts

PART_LINES = 2000
"""Lines of a bulk that are written together."""

Agent = tuple[AgentSpec, int]
"""An agent's active spec and version."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What accepting needs, made once per process."""

    services: Services
    catalog: Catalog
    poker: Poker
    gate: Gate
    accepting: Group[NewJob, datetime] = field(default_factory=lambda: Group(jobs.accept))
    allowed: AllowedHosts = field(init=False)
    """Where webhooks may go. Raises Misconfigured at the start, not with a job."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", allowed_hosts(self.services.settings))


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key and a hash of the request it stands for."""

    key: str
    request_hash: str


def idempotency_key(key: str, body: bytes) -> IdempotencyKey:
    """The key with the hash of the body that it came with. Raises InvalidInput for an unfit key."""
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise InvalidInput(
            "Idempotency-Key must be 1 to 255 printable characters", param="Idempotency-Key"
        )
    return IdempotencyKey(key, hashlib.sha256(body).hexdigest())


class _Repeated(Exception):
    """The key was used before: this transaction must leave nothing."""

    def __init__(self, taken: idempotency.Taken) -> None:
        self.taken = taken


def submit(
    intake: Intake,
    project_id: UUID,
    request: JobRequest,
    *,
    key: IdempotencyKey | None = None,
    traceparent: str | None = None,
) -> dict[str, Any]:
    """The accepted job as JSON; for a repeated key, the first answer.

    Raises InvalidInput, IdempotencyMismatch, IdempotencyInFlight, TooManyQueued or Unavailable.
    """
    if earlier := _earlier(intake, project_id, key):
        return _first_answer(earlier, key)
    intake.gate.admit(project_id, 1)
    job = _prepare(intake, project_id, request, _agent(intake, request.agent), traceparent)
    if key is None:
        # What is made of a row is its own caller's affair: it is stored, whatever comes of that.
        answer = job_json(jobs.queued(job, intake.accepting.ask(intake.services.database, job)))
    else:
        try:
            answer = _accept_once(intake, job, key)
        except _Repeated as repeated:
            return _first_answer(repeated.taken, key)
    intake.poker.poke()
    return answer


def _accept_once(intake: Intake, job: NewJob, key: IdempotencyKey) -> dict[str, Any]:
    """A commit of its own: who waits for another's key must not keep third ones waiting."""
    with intake.services.database.transaction() as tx:
        answer = job_json(jobs.queued(job, jobs.accept(tx, [job])[0]))
        _bind(tx, job.project_id, key, answer, job.id)
    return answer


def _earlier(
    intake: Intake, project_id: UUID, key: IdempotencyKey | None
) -> idempotency.Taken | None:
    """Looked up first: what was accepted once is answered again, whatever has changed since."""
    if key is None:
        return None
    with intake.services.database.autocommit() as tx:
        return idempotency.find(tx, project_id, key.key)


def _prepare(
    intake: Intake,
    project_id: UUID,
    request: JobRequest,
    agent: Agent | None,
    traceparent: str | None,
) -> NewJob:
    return prepare(
        intake.catalog,
        project_id,
        request,
        agent=agent,
        allowed=intake.allowed,
        traceparent=traceparent,
    )


def _bind(
    tx: Tx, project_id: UUID, key: IdempotencyKey, answer: dict[str, Any], job_id: UUID | None
) -> None:
    taken = idempotency.take(
        tx, project_id, key.key, key.request_hash, job_id=job_id, answer=answer
    )
    if taken:
        raise _Repeated(taken)


def _first_answer(taken: idempotency.Taken, key: IdempotencyKey | None) -> dict[str, Any]:
    if key is None or taken.request_hash != key.request_hash:
        raise IdempotencyMismatch(
            "this Idempotency-Key was used with another body; use a new key",
            param="Idempotency-Key",
        )
    answer: dict[str, Any] = taken.answer
    return answer


def _agent(intake: Intake, name: str | None) -> Agent | None:
    """The named agent's active spec and version."""
    if name is None:
        return None
    with intake.services.database.autocommit() as tx:
        found = agents.find(tx, name)
        if found is None:
            raise _unknown_agent(name, [agent.name for agent in agents.listed(tx)])
    return parse_spec(found.spec), found.version


def _unknown_agent(name: str, known: Iterable[str]) -> InvalidInput:
    return InvalidInput(
        f"unknown agent {name!r}; there are: {', '.join(known) or 'none yet'}", param="agent"
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bulk, counted from 1: what it asks for, or why that cannot be read."""

    number: int
    request: JobRequest | InvalidInput


def submit_bulk(
    intake: Intake, project_id: UUID, lines: Sequence[Line], *, key: IdempotencyKey | None = None
) -> dict[str, Any]:
    """Accepts all good lines in one transaction: `{accepted, rejected: [{line, error}], ids}`.

    Without one good line nothing is written, and the key stays free. Raises IdempotencyMismatch,
    IdempotencyInFlight, TooManyQueued or Unavailable.
    """
    if earlier := _earlier(intake, project_id, key):
        return _first_answer(earlier, key)
    intake.gate.admit(project_id, len(lines))
    try:
        with intake.services.database.transaction() as tx:
            accepted, rejected = _write_good_lines(intake, tx, project_id, lines)
            answer = _bulk_answer(accepted, rejected)
            if key and accepted:
                _bind(tx, project_id, key, answer, None)
    except _Repeated as repeated:
        return _first_answer(repeated.taken, key)
    intake.poker.poke()
    return answer


def _write_good_lines(
    intake: Intake, tx: Tx, project_id: UUID, lines: Sequence[Line]
) -> tuple[list[NewJob], list[tuple[int, InvalidInput]]]:
    """The jobs of the good lines, and the others' numbers and errors.

    Postgres writes one part while the next is being checked: they take about as long.
    """
    specs = {agent.name: (parse_spec(agent.spec), agent.version) for agent in agents.listed(tx)}
    accepted: list[NewJob] = []
    rejected: list[tuple[int, InvalidInput]] = []
    writes: list[Future[None]] = []
    # One thread, which alone uses the transaction meanwhile.
    with ThreadPoolExecutor(1) as writer:
        for start in range(0, len(lines), PART_LINES):
            good, bad = _sort(intake, specs, project_id, lines[start : start + PART_LINES])
            writes.append(writer.submit(jobs.insert, tx, good))
            accepted += good
            rejected += bad
    for write in writes:
        write.result()
    return accepted, rejected


def _sort(
    intake: Intake, specs: Mapping[str, Agent], project_id: UUID, lines: Sequence[Line]
) -> tuple[list[NewJob], list[tuple[int, InvalidInput]]]:
    accepted: list[NewJob] = []
    rejected: list[tuple[int, InvalidInput]] = []
    for line in lines:
        try:
            request = _readable(line)
            if request.agent and request.agent not in specs:
                raise _unknown_agent(request.agent, specs)
            agent = specs[request.agent] if request.agent else None
            accepted.append(_prepare(intake, project_id, request, agent, None))
        except InvalidInput as error:
            rejected.append((line.number, error))
    return accepted, rejected


def _readable(line: Line) -> JobRequest:
    if isinstance(line.request, InvalidInput):
        raise line.request
    return line.request


def _bulk_answer(
    accepted: Sequence[NewJob], rejected: Sequence[tuple[int, InvalidInput]]
) -> dict[str, Any]:
    return {
        "accepted": len(accepted),
        "rejected": [{"line": number, "error": error_json(error)} for number, error in rejected],
        "ids": [public_id(job.id) for job in accepted],
    }
