"""POST /api/search."""

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from apiflask import APIFlask

from api import create_app
from api.gateway import gateway_of
from api.waiting import MOST_WAITING
from factory.domain.job import new_id, public_id
from factory.domain.state import State
from factory.llm.catalog import Catalog
from factory.services import Services
from factory.store import chunks
from factory.store.chunks import NewChunk
from factory.store.database import rows

from .conftest import JOB, Caller, assert_problem, count_jobs, end_job

HIT = {"content": "c", "source": "s", "score": 0.5}
LOCAL = "local/all-minilm-l6-v2"


@pytest.fixture
def embedded(caller: Caller, services: Services) -> None:
    """The project has a text that the default model embedded."""
    chunk = NewChunk(new_id(), 0, "s", 0, 1, "c", [0.5] * 384)
    with services.database.transaction() as tx:
        chunks.insert(tx, caller.project_id, new_id(), LOCAL, [chunk])


def answer_search(services: Services, state: State, output: Any) -> threading.Thread:
    """Ends the search's job as a worker would, as soon as it is there."""

    def work() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with services.database.transaction() as tx:
                found = rows(tx, "SELECT id FROM jobs WHERE kind = 'search'")
            if found:
                return end_job(services, public_id(found[0].id), state, output)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.usefixtures("embedded")
def test_a_search_answers_with_hits(caller: Caller, services: Services) -> None:
    worker = answer_search(services, State.SUCCEEDED, {"hits": [HIT]})
    answer = caller.post("/api/search", {"query": "leases", "limit": 1})
    worker.join()

    assert answer.status_code == 200, answer.text
    assert answer.get_json() == {"object": "list", "data": [HIT]}


@pytest.mark.usefixtures("embedded")
def test_a_failed_search_is_502(caller: Caller, services: Services) -> None:
    worker = answer_search(services, State.FAILED, None)
    answer = caller.post("/api/search", {"query": "leases"})
    worker.join()

    assert_problem(answer, 502, None, "failed")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "a\x00"}, "query"),
        ({"query": "a", "limit": 0}, "limit"),
        ({"query": "a", "model": "openai/gpt-4o-mini"}, "model"),
        ({"query": "a", "model": "nobody/nothing"}, "model"),
        ({"query": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_search_that_is_not_valid_names_the_field(
    caller: Caller, services: Services, body: dict[str, Any], param: str
) -> None:
    assert_problem(caller.post("/api/search", body), 422, param)
    assert count_jobs(services) == 0


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize(
    ("limit", "status", "says"),
    [
        ("max_queued_per_project", 429, "its limit is 1"),
        ("max_queued", 503, "no more are accepted"),
    ],
)
def test_a_search_passes_the_gate_that_jobs_pass(
    services: Services, catalog: Catalog, caller: Caller, limit: str, status: int, says: str
) -> None:
    settings = services.settings.model_copy(update={limit: 1})
    app = create_app(replace(services, settings=settings), catalog)
    try:
        crowded = replace(caller, client=app.test_client())
        assert crowded.post("/api/jobs", JOB).status_code == 202
        answer = crowded.post("/api/search", {"query": "leases"})
        assert_problem(answer, status, None, says)
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        gateway_of(app).close()


@pytest.mark.usefixtures("embedded")
def test_searches_of_one_project_leave_places_to_others(
    app: APIFlask, caller: Caller, other_caller: Caller
) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_WAITING // 2):
            stack.enter_context(gateway_of(app).waiting.place(caller.project_id))
        one_too_many = caller.post("/api/search", {"query": "leases"})
        another = other_caller.post("/api/search", {"query": "leases"})
    assert_problem(one_too_many, 503, None, "too many waiting requests")
    assert int(one_too_many.headers["Retry-After"]) >= 1
    # It came as far as its texts, of which there are none.
    assert_problem(another, 422, "model", "no text that is embedded")


def test_a_search_among_nothing_is_refused_at_once(caller: Caller, services: Services) -> None:
    answer = caller.post("/api/search", {"query": "leases"})
    assert_problem(answer, 422, "model", "no text that is embedded with local/all-minilm-l6-v2")
    assert count_jobs(services) == 0


@pytest.mark.usefixtures("embedded")
def test_a_search_with_another_model_than_the_texts_names_theirs(caller: Caller) -> None:
    body = {"query": "leases", "model": "openai/text-embedding-3-small"}
    says = "its texts are embedded with local/all-minilm-l6-v2"
    assert_problem(caller.post("/api/search", body), 422, "model", says)
