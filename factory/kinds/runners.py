"""How each kind runs. The other half of the registry, for the workers alone: it reaches litellm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from factory.calls.gate import Result
from factory.domain.job import ClaimedJob, Kind
from factory.domain.waiting import WaitFor
from factory.kinds.completion.run import complete, first_call
from factory.kinds.embedding.run import embed
from factory.kinds.means import Means
from factory.kinds.search.run import find_nearest
from factory.kinds.webhook.run import deliver
from factory.llm.catalog import Catalog
from factory.store.journal import Call


def no_call(_catalog: Catalog, _job: ClaimedJob, _call_id: UUID) -> None:
    """For a kind that does not begin with a call whose intent could be committed with the claim."""


@dataclass(frozen=True, slots=True)
class Runner:
    """What a worker does with a job of one kind."""

    run: Callable[[Means, ClaimedJob], Awaitable[Result | WaitFor]]
    """Gives the result, or what the job must wait for, or raises an error of the tree. After a wait it runs from the
    start again, with the steps that it has recorded."""
    first_call: Callable[[Catalog, ClaimedJob, UUID], Call | None] = no_call
    """The call that an attempt begins with, found without the network; None if it makes none."""


RUNNERS: Mapping[Kind, Runner] = {
    Kind.COMPLETION: Runner(complete, first_call),
    Kind.EMBEDDING: Runner(embed),
    Kind.SEARCH: Runner(find_nearest),
    Kind.WEBHOOK: Runner(deliver),
}
