"""What is archived is read as if it were not: one job, lists, costs, events."""

from __future__ import annotations

from uuid import UUID

import pytest

from factory.domain.state import State
from factory.services import Services
from factory.store import jobs, listing
from factory.store.codec import told_job
from factory.store.listing import Filter
from tests.integration.retention.past import (
    COST_MICROS,
    given_archived,
    given_ended,
    places,
    retain,
)
from tests.integration.store.samples import (
    HOOK,
    OTHER_PROJECT,
    PROJECT,
    given_job,
    view,
    webhooks_of,
)


def test_another_projects_archived_job_is_not_there(services: Services) -> None:
    job_id = given_archived(services)
    with services.database.transaction() as tx:
        assert jobs.get(tx, OTHER_PROJECT, job_id) is None
        assert listing.find(tx, OTHER_PROJECT, Filter(), limit=10, after=None) == []


def test_a_list_goes_on_from_live_jobs_into_the_archive(services: Services) -> None:
    job_ids = _given_mixed(services)
    assert _pages(services, size=2) == sorted(job_ids, reverse=True)


def _given_mixed(services: Services) -> list[UUID]:
    """Archived and live jobs by turns: old ones that wait still, young ones that have long ended."""
    archived = []
    live = []
    for _ in range(4):
        archived.append(given_ended(services))
        live.append(given_job(services))
    retain(services)
    assert {place for one in archived for place in places(services, one)} == {"jobs_archive"}
    return archived + live


def _pages(services: Services, size: int) -> list[UUID]:
    found: list[UUID] = []
    while page := _find(services, Filter(), limit=size, after=found[-1] if found else None):
        assert len(page) <= size
        found += page
    return found


def _find(
    services: Services, chosen: Filter, *, limit: int = 10, after: UUID | None = None
) -> list[UUID]:
    with services.database.transaction() as tx:
        return [job.id for job in listing.find(tx, PROJECT, chosen, limit=limit, after=after)]


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(state="failed"),
        Filter(metadata={"team": "red"}),
        Filter(agent="writer"),
        Filter(model="openai/gpt-4o"),
        Filter(lane="gemini.normal"),
    ],
)
def test_every_filter_reaches_into_the_archive(services: Services, chosen: Filter) -> None:
    wanted = given_archived(
        services,
        State.FAILED,
        metadata={"team": "red", "floor": "2"},
        agent="writer",
        agent_version=1,
        model="openai/gpt-4o",
        provider="gemini",
    )
    given_archived(services)
    assert _find(services, chosen) == [wanted]


def test_lists_show_results_of_archived_jobs(services: Services) -> None:
    given_archived(services)
    with services.database.transaction() as tx:
        [job] = listing.find(tx, PROJECT, Filter(), limit=10, after=None)
    assert (job.output, job.expired) == ({"text": "hello"}, False)


def test_the_counts_of_lanes_know_live_jobs_only(services: Services) -> None:
    given_job(services)
    given_ended(services)
    with services.database.transaction() as tx:
        before = jobs.depths(tx, PROJECT)
    retain(services)
    with services.database.transaction() as tx:
        after = jobs.depths(tx, PROJECT)
    assert [(one.lane, one.state, one.jobs) for one in after] == [("openai.normal", "queued", 1)]
    assert [one.jobs for one in before] == [one.jobs for one in after]


def test_a_late_webhook_still_tells_of_its_job(services: Services) -> None:
    """Events are tried for more than three days; the job is archived within hours."""
    job_id = given_archived(services, webhook_url=HOOK)
    [event] = webhooks_of(services, job_id)
    told, seen = told_job(event.input["job"]), view(services, job_id)
    assert (told.id, told.state, told.output, told.cost_micros) == (
        job_id,
        seen.state,
        seen.output,
        COST_MICROS,
    )
