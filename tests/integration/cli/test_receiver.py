from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx

from factory.cli.receiver import running_receiver
from factory.webhooks.sign import derive_secret, signed_headers

SECRET = derive_secret("test-secret-key-of-32-characters!", "project")
BODY = json.dumps({"type": "job.succeeded", "data": {"id": "job_1"}}).encode()


def test_a_signed_event_is_kept_and_a_forged_one_is_counted() -> None:
    headers = signed_headers("msg_1", BODY, [SECRET], datetime.now(UTC))
    with running_receiver(SECRET) as receiver:
        assert httpx.post(receiver.url, content=BODY, headers=headers).status_code == 204
        forged = httpx.post(receiver.url, content=BODY + b" ", headers=headers)
        assert forged.status_code == 401
        assert receiver.events()["job_1"]["type"] == "job.succeeded"
        assert receiver.forged == 1
