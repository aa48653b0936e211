"""Webhooks, verified as a receiver verifies them: with the library of Standard Webhooks."""

from __future__ import annotations

from standardwebhooks import Webhook

from tests.acceptance.stack import Stack, eventually
from tests.integration.pipeline.receiver import Receiver


def test_the_end_of_a_job_is_told_and_signed(platform: Stack) -> None:
    webhook = Webhook(platform.cli("keys", "webhook-secret").stdout.strip())
    with Receiver() as receiver:
        job = platform.submit(webhook={"url": receiver.url}, metadata={"order": "42"})
        received = eventually(lambda: list(receiver.received))[0]
    event = webhook.verify(received.body, dict(received.headers))
    assert event["type"] == "job.succeeded"
    assert event["data"]["id"] == job["id"]
    assert event["data"]["metadata"] == {"order": "42"}
