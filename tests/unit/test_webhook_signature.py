import base64
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from factory.webhooks.sign import derive_secret, event_body, signed_headers

# https://github.com/standard-webhooks/standard-webhooks: the vector of the reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT_AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector_is_reproduced():
    assert signed_headers(WEBHOOK_ID, BODY, [SECRET], SENT_AT) == {
        "webhook-id": WEBHOOK_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_a_time_in_another_zone_signs_the_same_moment():
    in_delhi = SENT_AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    headers = signed_headers(WEBHOOK_ID, BODY, [SECRET], in_delhi)
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == SIGNATURE


def test_the_reference_library_verifies_a_derived_secret_and_an_event_of_ours():
    secret = derive_secret("k" * 32, "proj_1")
    body = event_body("evt_1", "job.succeeded", datetime.now(UTC), {"id": "job_1", "text": "Größe"})
    headers = dict(signed_headers("evt_1", body, [secret], datetime.now(UTC)))
    assert Webhook(secret).verify(body, headers)["data"] == {"id": "job_1", "text": "Größe"}


def test_while_a_secret_rotates_either_one_verifies_and_a_third_does_not():
    old, new, other = (derive_secret("k" * 32, name) for name in ("old", "new", "other"))
    headers = dict(signed_headers(WEBHOOK_ID, BODY, [new, old], datetime.now(UTC)))
    Webhook(old).verify(BODY, headers)
    Webhook(new).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, headers)


def test_a_changed_body_does_not_verify():
    headers = dict(signed_headers(WEBHOOK_ID, BODY, [SECRET], datetime.now(UTC)))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers)


def test_each_project_and_each_installation_has_a_secret_of_its_own():
    secrets = {derive_secret(key * 32, project) for key in "ab" for project in ("p1", "p2")}
    assert len(secrets) == 4
    assert derive_secret("a" * 32, "p1") in secrets


def test_a_secret_is_24_bytes_in_padded_base64():
    prefix, _, encoded = derive_secret("k" * 32, "proj_1").partition("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(encoded, validate=True)) == 24


def test_an_event_says_what_happened_to_which_thing_when():
    created_at = datetime(2026, 11, 25, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    event = orjson.loads(event_body("evt_1", "job.failed", created_at, {"id": "job_1"}))
    assert event == {
        "id": "evt_1",
        "object": "event",
        "type": "job.failed",
        "created_at": "2026-11-25T10:00:00Z",
        "data": {"id": "job_1"},
    }
