"""Accepting jobs: one transaction, then a wake-up for the dispatcher. Redis may be down: a 2xx means that Postgres
has the job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.agent import AgentSpec
from factory.domain.job import NewJob
from factory.domain.principal import Principal
from factory.errors import IdempotencyMismatch, InvalidInput
from factory.kinds.job_json import job_json
from factory.kinds.request import JobRequest
from factory.limits.backlog import Backpressure
from factory.llm.catalog import Catalog
from factory.pipeline.accept.accepted import StoredAnswer, job_as_accepted, stored_job
from factory.pipeline.accept.request import prepare
from factory.pipeline.wakeup import WakeUpSender
from factory.services import Services
from factory.store import agents, idempotency, jobs
from factory.store.agents import ActiveAgent
from factory.store.codec import stored_spec
from factory.store.database import Tx
from factory.store.idempotency import Taken
from factory.store.jobs import JobView
from factory.store.statement_batch import StatementBatch
from factory.webhooks.allowed import AllowedHosts, allowed_hosts

Agent = tuple[AgentSpec, int]
"""An agent's active spec and version."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What accepting needs, made once per process."""

    services: Services
    catalog: Catalog
    wake_up: WakeUpSender
    backpressure: Backpressure
    accepting: StatementBatch[NewJob, datetime] = field(
        default_factory=lambda: StatementBatch(jobs.accept)
    )
    allowed: AllowedHosts = field(init=False)
    """Where webhooks may go. A wrong setting raises Misconfigured here, at the start, and not with a job."""

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


class Repeated(Exception):
    """The key was used before: this transaction must be rolled back."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken


def submit(
    intake: Intake,
    who: Principal,
    request: JobRequest,
    *,
    key: IdempotencyKey | None = None,
    traceparent: str | None = None,
) -> JobView | StoredAnswer:
    """The job as it was accepted, also for a repeated key.

    Raises InvalidInput, IdempotencyMismatch, IdempotencyInFlight, TooManyQueued or Unavailable.
    """
    if earlier := earlier_use(intake, who, key):
        return _job_of(intake, who, same_request(earlier, key))
    intake.backpressure.admit(who.project_id, 1)
    job = prepared(intake, who, request, _agent(intake, who, request.agent), traceparent)
    if key is None:
        accepted = jobs.queued(job, intake.accepting.run(intake.services.database, who, job))
    else:
        try:
            accepted = _accept_once(intake, who, job, key)
        except Repeated as repeated:
            return _job_of(intake, who, same_request(repeated.taken, key))
    intake.wake_up.send()
    return accepted


def _accept_once(intake: Intake, who: Principal, job: NewJob, key: IdempotencyKey) -> JobView:
    """In a commit of its own: a wait for another request with the same key must not hold up others."""
    with intake.services.database.transaction(who) as tx:
        accepted = jobs.queued(job, jobs.accept(tx, [job])[0])
        bind_key(tx, who, key, job_json(accepted), stored_job(accepted), job.id)
    return accepted


def _job_of(intake: Intake, who: Principal, taken: Taken) -> JobView | StoredAnswer:
    """The job that an earlier use of a key made."""
    if taken.job_id and taken.accepted:
        with intake.services.database.autocommit(who) as tx:
            job = jobs.get(tx, who.project_id, taken.job_id)
        if job and (accepted := job_as_accepted(job, taken.accepted)):
            return accepted
    return StoredAnswer(taken.answer)


def earlier_use(intake: Intake, who: Principal, key: IdempotencyKey | None) -> Taken | None:
    """The earlier use of the key, if any. Looked up first: limits that were reached since do not matter."""
    if key is None:
        return None
    with intake.services.database.autocommit(who) as tx:
        return idempotency.find(tx, who.project_id, key.key)


def prepared(
    intake: Intake,
    who: Principal,
    request: JobRequest,
    agent: Agent | None,
    traceparent: str | None,
) -> NewJob:
    """The job that the request asks for, checked. Raises InvalidInput."""
    return prepare(
        intake.catalog,
        who.project_id,
        request,
        agent=agent,
        allowed=intake.allowed,
        traceparent=traceparent,
    )


def bind_key(
    tx: Tx,
    who: Principal,
    key: IdempotencyKey,
    answer: dict[str, Any],
    accepted: dict[str, Any],
    job_id: UUID | None,
) -> None:
    """Keeps what was accepted for repetitions of the key. Raises Repeated or IdempotencyInFlight.

    `answer` is for gateways of the release before, which may be asked next and know only that.
    """
    taken = idempotency.take(
        tx,
        who.project_id,
        key.key,
        key.request_hash,
        job_id=job_id,
        answer=answer,
        accepted=accepted,
    )
    if taken:
        raise Repeated(taken)


def same_request(taken: Taken, key: IdempotencyKey | None) -> Taken:
    """The earlier use, if it was for the same request. Raises IdempotencyMismatch."""
    if key is None or taken.request_hash != key.request_hash:
        raise IdempotencyMismatch(
            "this Idempotency-Key was used with another body; use a new key",
            param="Idempotency-Key",
        )
    return taken


def _agent(intake: Intake, who: Principal, name: str | None) -> Agent | None:
    """The named agent's active spec and version."""
    if name is None:
        return None
    with intake.services.database.autocommit(who) as tx:
        found = agents.find(tx, name)
        if found is None:
            raise unknown_agent(name, [agent.name for agent in agents.listed(tx)])
    return stored_agent(found)


def stored_agent(found: ActiveAgent) -> Agent:
    """Its spec and version."""
    return stored_spec(found.spec), found.version


def unknown_agent(name: str, known: Iterable[str]) -> InvalidInput:
    """The error for an unknown name; it lists the known ones."""
    return InvalidInput(
        f"unknown agent {name!r}; there are: {', '.join(known) or 'none yet'}", param="agent"
    )
