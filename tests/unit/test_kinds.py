"""The kinds of jobs: each is known to the gateway and to the workers, and says how it is asked for and shown."""

from __future__ import annotations

import pytest

from factory.domain.job import Kind, new_id
from factory.errors import InvalidInput
from factory.kinds.registry import BY_MODE, KINDS
from factory.kinds.request import JobRequest
from factory.kinds.runners import RUNNERS, no_call
from factory.kinds.search.prepare import prepare
from factory.llm.catalog import LOCAL_EMBEDDING, Catalog

MESSAGES = [{"role": "user", "content": "Hi."}]


def test_every_kind_is_in_both_halves_of_the_registry() -> None:
    assert set(KINDS) == set(RUNNERS) == set(Kind)


def test_a_models_mode_decides_the_kind() -> None:
    kinds = {mode: one.kind for mode, one in BY_MODE.items()}
    assert kinds == {"chat": Kind.COMPLETION, "embedding": Kind.EMBEDDING}


@pytest.mark.parametrize(
    ("kind", "stored", "shown"),
    [
        (Kind.COMPLETION, {"messages": MESSAGES, "fallback_on": ["cut"]}, MESSAGES),
        (Kind.EMBEDDING, {"texts": [["a", "b"]]}, [{"source": "a", "text": "b"}]),
        (Kind.EMBEDDING, {"texts": "odd"}, {"texts": "odd"}),
        (Kind.SEARCH, {"query": "cats", "limit": 2}, {"query": "cats", "limit": 2}),
        (Kind.WEBHOOK, {"type": "job.succeeded"}, {"type": "job.succeeded"}),
    ],
)
def test_an_input_is_shown_as_its_owner_gave_it(kind: Kind, stored: object, shown: object) -> None:
    assert KINDS[kind].shown_input(stored) == shown  # type: ignore[arg-type]


def test_a_search_goes_to_the_lanes_of_searches() -> None:
    catalog, model = Catalog([LOCAL_EMBEDDING]), LOCAL_EMBEDDING.id
    job = prepare(catalog, new_id(), query="cats", model=model, limit=3, deadline_s=20)
    assert (job.kind, job.provider, job.lane) == (Kind.SEARCH, "local", "search.high")


def test_jobs_that_only_the_platform_makes_cannot_be_submitted() -> None:
    request = JobRequest.model_validate({"model": "openai/gpt", "input": "Hi."})
    with pytest.raises(InvalidInput):
        KINDS[Kind.SEARCH].prepare(request, None)


def test_only_a_completion_begins_with_a_call() -> None:
    beginning = {kind for kind, one in RUNNERS.items() if one.first_call is not no_call}
    assert beginning == {Kind.COMPLETION}
