"""After a restore nothing goes out until somebody has decided, and each decision does what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from factory.cli.after_restore import after_restore
from factory.domain.job import Kind
from factory.domain.state import State
from factory.errors import Conflict, InvalidInput
from factory.pipeline.dispatch.publish import dispatch
from factory.pipeline.upkeep import after_restore as decisions
from factory.services import Services
from factory.store import restores
from tests.integration.pipeline.outbox import Outbox
from tests.integration.store.samples import (
    HOOK,
    ask,
    claim,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    state_of,
    tell,
    view,
    webhooks_of,
)

BACKUP = "dump-20260131T020000Z"


def mark(services: Services, restored_to: datetime | None = None) -> datetime:
    """As a restore leaves the database: its jobs so far are those of the backup."""
    with services.database.transaction() as tx:
        now: datetime = restored_to or ask(services, "SELECT clock_timestamp() AS now")[0].now
        restores.mark(tx, BACKUP, now)
    return now


def test_nothing_is_dispatched_or_claimed_while_nobody_has_decided(services: Services) -> None:
    worker = given_worker(services)
    job_id = given_job(services)
    mark(services)
    outbox = Outbox()
    assert dispatch(services, outbox.send) == 0
    assert outbox.sent == []
    assert claim(services, worker, job_id) == [], "a hint of before the restore still lay in Redis"
    decisions.release(services)
    assert dispatch(services, outbox.send) == 1
    assert [job.id for job in claim(services, worker, job_id)] == [job_id]


def test_a_lease_of_the_lost_time_is_stale(services: Services) -> None:
    job_id = given_job(services)
    held = claim_one(services, job_id)
    # As it was before the claim, which the backup does not know.
    tell(
        services,
        "UPDATE jobs SET state = 'queued', lease_token = NULL, attempt = 0, worker_id = NULL",
    )
    tell(services, "SELECT setval('lease_tokens', 1)")
    mark(services)
    decisions.release(services)
    again = claim_one(services, job_id)
    assert again.lease_token > held.lease_token
    assert finish(services, end(held, State.SUCCEEDED, output={"text": "late"})) == []
    assert state_of(services, job_id) is State.RUNNING


def test_released_jobs_are_queued_and_one_that_ran_keeps_its_attempts(services: Services) -> None:
    queued, running = given_job(services), given_job(services)
    claim_one(services, running)
    mark(services)
    assert decisions.release(services) == decisions.Decision("released", 0)
    assert {state_of(services, job_id) for job_id in (queued, running)} == {State.QUEUED}
    assert claim_one(services, running).attempt == 1


def test_failed_jobs_say_why_and_tell_their_webhooks(services: Services) -> None:
    queued, running = given_job(services, webhook_url=HOOK), given_job(services)
    claim_one(services, running)
    mark(services)
    later = given_job(services)
    assert decisions.fail(services) == decisions.Decision("failed", 2)
    for job_id in (queued, running):
        job = view(services, job_id)
        assert job.state is State.FAILED
        assert job.error["type"] == "restored_from_backup"
    assert len(webhooks_of(services, queued)) == 1
    assert state_of(services, later) is State.QUEUED, "it came after the restore"


def test_webhooks_are_never_given_up(services: Services) -> None:
    [hook] = given_jobs(services, 1, kind=Kind.WEBHOOK, provider="webhook", model=None)
    mark(services)
    assert decisions.fail(services).failed == 0
    assert state_of(services, hook) is State.QUEUED


def test_older_jobs_are_released_and_younger_ones_fail(services: Services) -> None:
    old, young = given_jobs(services, 2)
    tell(
        services,
        "UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = %(id)s",
        id=str(old),
    )
    mark(services)
    decided = decisions.fail(services, datetime.now(UTC) - timedelta(hours=1))
    assert decided.failed == 1
    assert (state_of(services, old), state_of(services, young)) == (State.QUEUED, State.FAILED)


def test_more_jobs_than_a_batch_all_fail(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "BATCH", 4)
    given_jobs(services, 9)
    mark(services)
    assert decisions.fail(services).failed == 9


def test_without_a_restore_there_is_nothing_to_decide(services: Services) -> None:
    for act in (decisions.release, decisions.fail):
        with pytest.raises(Conflict, match="no restore waits"):
            act(services)


@pytest.fixture
def commands(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's environment is this test's."""
    settings = services.settings
    for name, value in (
        ("DATABASE_URL", settings.database_url),
        ("REDIS_URL", settings.redis_url),
        ("SECRET_KEY", settings.secret_key),
        ("ALLOW_WEAK_SETTINGS", "true"),
        ("FACTORY_ENV_FILE", ""),
    ):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("commands")
def test_a_restore_without_open_jobs_says_how_work_goes_on(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(services)
    after_restore()
    assert "no job was open then: `factory db after-restore --release`" in capsys.readouterr().out


@pytest.mark.usefixtures("commands")
def test_the_command_lists_and_decides(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    given_jobs(services, 3)
    moment = mark(services)
    after_restore(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["held"]
    assert shown["restores"][0]["restored_to"] == moment.isoformat()
    assert [(one["model"], one["jobs"]) for one in shown["in_doubt"]] == [("openai/gpt-4o-mini", 3)]
    after_restore()
    text = capsys.readouterr().out
    assert BACKUP in text
    assert "3 jobs had not ended then" in text
    assert "--release-older" in text
    after_restore(fail=True, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"decision": "failed", "failed": 3}
    after_restore()
    assert "no restore waits for a decision" in capsys.readouterr().out


@pytest.mark.usefixtures("commands")
def test_the_command_takes_one_decision_and_a_time_that_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InvalidInput, match="choose one"):
        after_restore(release=True, fail=True)
    after_restore(hold="2026-01-31T11:59:00")
    assert "restored (by hand)" in capsys.readouterr().out
    with pytest.raises(InvalidInput, match="is not a time"):
        after_restore(release_older="yesterday")
