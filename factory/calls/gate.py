"""The gate before every call: credential, budget, limits; then the intent is written, the call made, its end recorded.

A call that is refused costs nothing. Where a limit will end by itself the job waits: it goes back to the queue and
spends no attempt.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from factory.calls.ends import cut_end, failed_end, intent, paid_end
from factory.calls.journal import close_calls, open_calls
from factory.calls.passage import Passage, trace_of
from factory.calls.refusal import Reason, Refusal, cooling_down
from factory.calls.spending import longest_answer
from factory.config import Settings
from factory.domain.job import ClaimedJob, new_id
from factory.domain.message import Completion, Embeddings
from factory.domain.money import FREE
from factory.errors import (
    BudgetExceeded,
    FactoryError,
    LeaseLost,
    ProviderAuthFailed,
    RateLimited,
    Untranslatable,
)
from factory.limits.budget import Budget
from factory.limits.cooldown import Cooldowns
from factory.llm.call import ProviderClient
from factory.llm.catalog import Catalog, Model
from factory.llm.endpoint import Endpoint, endpoint_of, fingerprint
from factory.llm.provider import demand_bound
from factory.redaction import Redactor
from factory.services import Services
from factory.store.group_commit import GroupCommitter
from factory.store.journal import Call, CallEnd
from factory.store.size import size_of

Answer = TypeVar("Answer", Completion, Embeddings)
Send = Callable[[Passage], Awaitable[tuple[Answer, Any]]]
"""Makes the call. Gives the answer, and what the step keeps of it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """A job's output; with `call`, the end of the call that gave it, to be committed with the job's own."""

    output: Any
    call: CallEnd | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The one way to a provider, for all jobs of a worker. Made once per process."""

    settings: Settings
    catalog: Catalog
    committer: GroupCommitter
    redactor: Redactor
    cooldowns: Cooldowns
    client: ProviderClient
    holds_leases: Callable[[], bool]
    """False once other workers may have this one's jobs: no call may be made any more."""

    async def call(
        self,
        job: ClaimedJob,
        step_key: str,
        model: Model,
        budget: Budget,
        send: Send[Answer],
        opened: UUID | None = None,
    ) -> Result:
        """The step's output. The kind of the job commits the call's end: with the job's own, or by `record`.

        `opened`: the id of the call whose intent was committed with the claim. Raises the error of the step that refuses.
        Records what `send` raises, and raises it again. A cancelled call is recorded as unknown spend.
        """
        call = intent(job, step_key, model, opened or new_id())
        passage = self._admit(job, step_key, model, budget)
        if isinstance(passage, Refusal):
            raise await self._refused(passage, call if opened else None)
        started, sent = time.monotonic(), False
        try:
            may_call = opened is not None or await self.committer.commit(open_calls, call)
            # The commit may have waited for Postgres longer than the lease lasts.
            if not may_call or not self.holds_leases():
                raise LeaseLost("the lease ran out before the call was made")
            # A call to a free model costs nothing, however it ends.
            sent = model.price != FREE
            answer, output = await self._send(passage, send)
        except asyncio.CancelledError:
            await self.committer.commit(close_calls, cut_end(call, started, sent))
            raise
        # Whatever broke the call, its end must be in the journal before the job's.
        except Exception as error:
            self._redact(error)
            await self.committer.commit(close_calls, failed_end(call, error, started, sent))
            raise
        return Result(output, paid_end(call, answer, None, output))

    async def record(self, result: Result) -> None:
        """Commits the end of a call after which the job has more to do."""
        if result.call:
            await self.committer.commit(close_calls, result.call, size_of(result.call.output))

    async def close(self) -> None:
        """After the last call."""
        await self.client.close()
        await asyncio.to_thread(self.cooldowns.stop)

    def refuses(self, call: Call) -> bool:
        """Whether a limit holds the call now: then its intent need not be written. From any thread."""
        if self.cooldowns.none:
            return False
        model = self.catalog.find(f"{call.provider}/{call.model}")
        try:
            endpoint = endpoint_of(self.settings, model)
        except ProviderAuthFailed:
            return False
        return self._rate_limit(model, endpoint) is not None

    def _admit(
        self, job: ClaimedJob, step_key: str, model: Model, budget: Budget
    ) -> Passage | Refusal:
        """The steps of the gate, in their order."""
        try:
            endpoint = endpoint_of(self.settings, model)
        except ProviderAuthFailed as error:
            return Refusal(Reason.NO_CREDENTIAL, error)
        try:
            longest = longest_answer(budget, model)
            if endpoint is None and budget.needs_bound(model.price):
                demand_bound(model)
        except (BudgetExceeded, Untranslatable) as error:
            return Refusal(Reason.JOB_CAP, error)
        if limited := self._rate_limit(model, endpoint):
            return limited
        return Passage(self.client, model, endpoint, trace_of(job, step_key), longest)

    def _rate_limit(self, model: Model, endpoint: Endpoint | None) -> Refusal | None:
        if self.cooldowns.none:
            return None
        left_s = self.cooldowns.left_s(self._cooldown_of(model, endpoint))
        return cooling_down(model, left_s) if left_s > 0 else None

    def _cooldown_of(self, model: Model, endpoint: Endpoint | None) -> str:
        """A model's name among the cooldowns: the limit is the credential's, not the job's."""
        return f"{fingerprint(endpoint, self.settings.secret_key)}:{model.id}"

    async def _refused(self, refusal: Refusal, opened: Call | None) -> FactoryError:
        """Closes the call whose intent went with the claim; gives the error."""
        log.info("no call: %s", refusal.reason)
        self._redact(refusal.error)
        if opened:
            end = failed_end(opened, refusal.error, time.monotonic(), sent=False)
            await self.committer.commit(close_calls, end)
        return refusal.error

    async def _send(self, passage: Passage, send: Send[Answer]) -> tuple[Answer, Any]:
        try:
            return await send(passage)
        except RateLimited as error:
            if error.retry_after_s and error.holds_all:
                name = self._cooldown_of(passage.model, passage.endpoint)
                self.cooldowns.add(name, error.retry_after_s)
            raise

    def _redact(self, error: Exception) -> None:
        if isinstance(error, FactoryError):
            error.message = self.redactor.public(error.message)


def open_gate(
    services: Services,
    catalog: Catalog,
    committer: GroupCommitter,
    redactor: Redactor,
    holds_leases: Callable[[], bool],
) -> Gate:
    """Connects on first use, except for the thread that shares cooldowns."""
    cooldowns = Cooldowns(services.limiter)
    cooldowns.start()
    client = ProviderClient(services.settings)
    return Gate(services.settings, catalog, committer, redactor, cooldowns, client, holds_leases)
