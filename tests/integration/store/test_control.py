"""What an owner may do to a job, and to nobody else's."""

from __future__ import annotations

import pytest

from factory.domain.state import State
from factory.services import Services
from factory.store import jobs, listing, moves
from factory.store.listing import Filter
from tests.integration.store.samples import (
    OTHER_PROJECT,
    PROJECT,
    ask,
    given_job,
    given_jobs,
    given_state,
    state_of,
)


@pytest.mark.parametrize("state", State)
def test_a_live_job_can_be_marked_as_unwanted_and_no_other(
    services: Services, state: State
) -> None:
    job_id, _ = given_state(services, state)
    with services.database.transaction() as tx:
        before = moves.request_cancel(tx, PROJECT, job_id)
    assert before is (None if state.terminal else state)


def test_a_second_wish_to_cancel_keeps_the_time_of_the_first(services: Services) -> None:
    job_id, _ = given_state(services, State.RUNNING)
    times = []
    for _ in range(2):
        with services.database.transaction() as tx:
            moves.request_cancel(tx, PROJECT, job_id)
        times += ask(services, "SELECT cancel_requested_at FROM jobs")
    assert times[0] == times[1]


def test_another_project_sees_and_moves_nothing(services: Services) -> None:
    queued, (failed, _) = given_job(services), given_state(services, State.FAILED)
    with services.database.transaction() as tx:
        assert moves.request_cancel(tx, OTHER_PROJECT, queued) is None
        assert not moves.retry(tx, OTHER_PROJECT, failed)
        assert jobs.get(tx, OTHER_PROJECT, queued) is None
        assert listing.find(tx, OTHER_PROJECT, Filter(), limit=10, after=None) == []
        assert jobs.depths(tx, OTHER_PROJECT) == []
    assert (state_of(services, queued), state_of(services, failed)) == (
        State.QUEUED,
        State.FAILED,
    )


def test_a_list_is_read_page_by_page_newest_first(services: Services) -> None:
    job_ids = sorted(given_jobs(services, 5), reverse=True)
    with services.database.transaction() as tx:
        first = listing.find(tx, PROJECT, Filter(), limit=3, after=None)
        rest = listing.find(tx, PROJECT, Filter(), limit=3, after=first[-1].id)
    assert [job.id for job in (*first, *rest)] == job_ids


def test_a_list_is_filtered_by_every_field(services: Services) -> None:
    wanted = given_job(services, provider="gemini", agent="writer", metadata={"team": "red"})
    given_job(services, metadata={"team": "blue"})
    filters = [
        Filter(lane="gemini.normal"),
        Filter(agent="writer"),
        Filter(metadata={"team": "red"}),
        Filter(state="queued", lane="gemini.normal", model="openai/gpt-4o-mini"),
    ]
    with services.database.transaction() as tx:
        for chosen in filters:
            found = listing.find(tx, PROJECT, chosen, limit=10, after=None)
            assert [job.id for job in found] == [wanted]
        assert listing.find(tx, PROJECT, Filter(state="failed"), limit=10, after=None) == []


def test_deliveries_are_listed_only_when_asked_for(services: Services) -> None:
    job_id, _ = given_state(services, State.SUCCEEDED, webhook_url="http://127.0.0.1:9/")
    with services.database.transaction() as tx:
        assert [job.id for job in listing.find(tx, PROJECT, Filter(), limit=9, after=None)] == [
            job_id
        ]
        assert len(listing.find(tx, PROJECT, Filter(webhooks=True), limit=9, after=None)) == 2


def test_depths_count_the_live_jobs_and_the_age_of_what_is_due(services: Services) -> None:
    for state in State:
        given_state(services, state)
    given_job(services)
    with services.database.transaction() as tx:
        depths = {(one.lane, one.state): one for one in jobs.depths(tx, PROJECT)}
        tx.exec_driver_sql("UPDATE jobs SET run_at = now() + interval '1 hour'")
        [later] = [one for one in jobs.depths(tx, None) if one.state == "queued"]
    counts = {state: one.jobs for (_, state), one in depths.items()}
    assert counts == {"queued": 2, "running": 1, "waiting": 1}
    assert depths["openai.normal", "queued"].oldest_age_s > 0
    assert (later.jobs, later.oldest_age_s) == (2, 0)
