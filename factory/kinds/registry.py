"""The kinds as every program knows them: how a caller's job is prepared, and how its input is shown.

How they run is in `runners`: what runs a job reaches litellm, and the gateway must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory.domain.agent import AgentSpec
from factory.domain.job import Kind
from factory.errors import InvalidInput
from factory.kinds.completion import prepare as completion
from factory.kinds.completion import show as completion_shown
from factory.kinds.embedding import prepare as embedding
from factory.kinds.embedding import show as embedding_shown
from factory.kinds.request import Content, JobRequest
from factory.llm.catalog import Mode


def not_submitted(_request: JobRequest, _spec: AgentSpec | None) -> Content:
    """For a kind whose jobs only the platform makes."""
    raise InvalidInput("no caller submits jobs of this kind", param="model")


def as_stored(job_input: Mapping[str, Any]) -> Any:
    """The whole input, unchanged."""
    return job_input


@dataclass(frozen=True, slots=True)
class JobKind:
    """What is particular about a kind before and after its jobs run."""

    kind: Kind
    mode: Mode | None = None
    """A request for a model of this mode is a job of this kind."""
    prepare: Callable[[JobRequest, AgentSpec | None], Content] = not_submitted
    shown_input: Callable[[Mapping[str, Any]], Any] = as_stored


KINDS: Mapping[str, JobKind] = {
    one.kind: one
    for one in (
        JobKind(Kind.COMPLETION, "chat", completion.prepare, completion_shown.shown_input),
        JobKind(Kind.EMBEDDING, "embedding", embedding.prepare, embedding_shown.shown_input),
        JobKind(Kind.SEARCH),
        JobKind(Kind.WEBHOOK),
    )
}
BY_MODE: Mapping[Mode, JobKind] = {one.mode: one for one in KINDS.values() if one.mode}
