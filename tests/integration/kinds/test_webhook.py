"""Webhooks as jobs: signed, delivered, retried on their own schedule, given up for good reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from factory.config import Settings
from factory.domain.job import public_id
from factory.domain.retry import WEBHOOK_DELAYS_S, WEBHOOK_MAX_ATTEMPTS
from factory.domain.state import State
from factory.kinds.job_json import job_json
from factory.pipeline.accept.control import cancel, retry
from factory.webhooks.sign import derive_secret
from tests.integration.pipeline.bench import Bench
from tests.integration.pipeline.receiver import Receiver
from tests.integration.store.samples import OWNER, PROJECT, ask, tell, webhooks_of


def _event_of(bench: Bench, receiver: Receiver, **request: object) -> tuple[UUID, UUID]:
    """A job that has ended, and the webhook job that tells of it."""
    job = bench.finished(webhook={"url": receiver.url}, **request)
    [event] = webhooks_of(bench.services, job.id)
    return job.id, event.id


def test_the_end_of_a_job_is_told_signed(bench: Bench, receiver: Receiver) -> None:
    job_id, event_id = _event_of(bench, receiver, metadata={"order": "7"})
    assert receiver.received == []
    bench.execute(event_id)
    [got] = receiver.received
    secret = derive_secret(bench.services.settings.secret_key, str(PROJECT))
    headers = {name.lower(): value for name, value in got.headers.items()}
    event = Webhook(secret).verify(got.body.decode(), headers)
    assert event == json.loads(got.body)
    assert (event["id"], event["type"]) == (headers["webhook-id"], "job.succeeded")
    assert event["data"]["id"] == public_id(job_id)
    assert event["data"]["result"]["text"]
    assert event["data"]["metadata"] == {"order": "7"}
    assert event["data"]["cost_usd"] > 0
    assert bench.view(event_id).state is State.SUCCEEDED
    assert webhooks_of(bench.services, event_id) == []


def test_an_event_says_its_version_and_one_of_before_is_sent_byte_for_byte(
    bench: Bench, receiver: Receiver
) -> None:
    _, event_id = _event_of(bench, receiver)
    stored = {"id": str(event_id)}
    [row] = ask(bench.services, "SELECT input FROM job_requests WHERE job_id = %(id)s", **stored)
    assert row.input.keys() == {"v", "type", "job"}
    assert row.input["v"] == 1
    receiver.status = 500
    bench.execute(event_id)
    before = "UPDATE job_requests SET input = input - 'v' WHERE job_id = %(id)s"
    tell(bench.services, before, **stored)
    bench.make_due(event_id)
    bench.execute(event_id)
    first, second = receiver.received
    assert first.body == second.body


def test_while_a_secret_is_replaced_both_sign(bench: Bench, receiver: Receiver) -> None:
    _, event_id = _event_of(bench, receiver)
    earlier = "the-secret-key-of-before-the-change"
    given = bench.services.settings.model_dump()
    settings = Settings(**{**given, "secret_key_previous": earlier})
    bench.services = replace(bench.services, settings=settings)
    bench.execute(event_id)
    [got] = receiver.received
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert len(headers["webhook-signature"].split()) == 2
    for secret_key in (settings.secret_key, earlier):
        Webhook(derive_secret(secret_key, str(PROJECT))).verify(got.body.decode(), headers)


def test_a_cancelled_queued_job_is_told_too(bench: Bench, receiver: Receiver) -> None:
    job_id = bench.submit(webhook={"url": receiver.url})
    cancel(bench.services, OWNER, job_id)
    [event] = webhooks_of(bench.services, job_id)
    bench.execute(event.id)
    [got] = receiver.received
    assert json.loads(got.body)["type"] == "job.cancelled"


def test_a_receiver_that_fails_is_asked_again_on_the_schedule_with_the_same_id(
    bench: Bench, receiver: Receiver
) -> None:
    _, event_id = _event_of(bench, receiver)
    receiver.status = 500
    for attempt, delay_s in enumerate(WEBHOOK_DELAYS_S, start=1):
        bench.execute(event_id)
        event = bench.view(event_id)
        assert (event.state, event.attempt) == (State.QUEUED, attempt)
        assert 0.9 * delay_s - 5 < bench.wait_s(event_id) <= 1.1 * delay_s
        bench.make_due(event_id)
    bench.execute(event_id)
    event = bench.view(event_id)
    assert (event.state, event.attempt) == (State.FAILED, WEBHOOK_MAX_ATTEMPTS)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    logged = ask(bench.services, "SELECT attempt, http_status FROM webhook_deliveries ORDER BY 1")
    assert [(row.attempt, row.http_status) for row in logged] == [(n, 500) for n in range(1, 11)]


def test_a_receiver_that_asks_for_time_gets_it(bench: Bench, receiver: Receiver) -> None:
    _, event_id = _event_of(bench, receiver)
    receiver.status, receiver.answer_headers = 429, {"Retry-After": "120"}
    bench.execute(event_id)
    assert 115 < bench.wait_s(event_id) <= 120
    assert (bench.view(event_id).attempt, bench.view(event_id).deferrals) == (1, 0)


def test_a_receiver_that_is_gone_is_not_asked_again(bench: Bench, receiver: Receiver) -> None:
    _, event_id = _event_of(bench, receiver)
    receiver.status = 410
    bench.execute(event_id)
    event = bench.view(event_id)
    assert (event.state, event.attempt) == (State.FAILED, 1)
    assert event.error is not None
    assert (event.error["type"], event.error["code"]) == ("webhook_refused", "gone")
    [logged] = ask(bench.services, "SELECT http_status FROM webhook_deliveries")
    assert logged.http_status == 410


@pytest.mark.parametrize("status", [301, 404])
def test_no_other_answer_counts_as_delivered(bench: Bench, receiver: Receiver, status: int) -> None:
    _, event_id = _event_of(bench, receiver)
    receiver.status, receiver.answer_headers = status, {"Location": receiver.url}
    bench.execute(event_id)
    assert bench.view(event_id).state is State.QUEUED
    assert len(receiver.received) == 1


def test_a_job_is_told_as_it_ended_although_its_owner_retried_it_meanwhile(
    bench: Bench, receiver: Receiver
) -> None:
    job_id, event_id = _event_of(bench, receiver, input="Hi. {{simulate status=400 times=1}}")
    ended = job_json(bench.view(job_id))
    retry(bench.services, OWNER, job_id)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED
    bench.execute(event_id)
    [got] = receiver.received
    event = json.loads(got.body)
    assert (event["type"], event["created_at"]) == ("job.failed", ended["finished_at"])
    assert event["data"] == ended
    assert (ended["state"], ended["error"]["type"]) == ("failed", "provider_refused")


def test_each_retry_of_an_event_tells_the_same(bench: Bench, receiver: Receiver) -> None:
    job_id, event_id = _event_of(bench, receiver, metadata={"order": "7"})
    ended = job_json(bench.view(job_id))
    receiver.status = 500
    bench.execute(event_id)
    tell(bench.services, "UPDATE job_contents SET output = '{}'")
    tell(bench.services, "UPDATE jobs_archive SET cost_micros = 7")
    bench.make_due(event_id)
    bench.execute(event_id)
    assert [json.loads(got.body)["data"] for got in receiver.received] == [ended, ended]
