"""POST /api/search."""

import threading
import time
from typing import Any

import pytest

from factory.domain.job import public_id
from factory.domain.state import State
from factory.services import Services
from factory.store.database import rows

from .conftest import Caller, assert_problem, count_jobs, end_job

HIT = {"content": "c", "source": "s", "score": 0.5}


def answer_search(services: Services, state: State, output: Any) -> threading.Thread:
    """Ends the search's job as a worker would, as soon as it is there."""

    def work() -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with services.database.transaction() as tx:
                found = rows(tx, "SELECT id FROM jobs WHERE kind = 'search'")
            if found:
                return end_job(services, public_id(found[0].id), state, output)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_search_answers_with_hits(caller: Caller, services: Services) -> None:
    worker = answer_search(services, State.SUCCEEDED, {"hits": [HIT]})
    answer = caller.post("/api/search", {"query": "leases", "limit": 1})
    worker.join()

    assert answer.status_code == 200, answer.text
    assert answer.get_json() == {"object": "list", "data": [HIT]}


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
