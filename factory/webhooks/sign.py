"""The body of an event and the three headers that prove who sent it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from factory.config import Settings
from factory.document import write_json

SECRET_BYTES = 24


def derive_secret(secret_key: str, project_id: str) -> str:
    """The project's signing secret, `whsec_` and base64, from the installation's SECRET_KEY.

    It is derived, so no table holds it, and the same project always gets the same secret.
    """
    digest = hmac.digest(secret_key.encode(), f"webhook:{project_id}".encode(), hashlib.sha256)
    return "whsec_" + base64.b64encode(digest[:SECRET_BYTES]).decode()


def derive_secrets(settings: Settings, project_id: str) -> list[str]:
    """The project's secret, and the earlier one while SECRET_KEY is replaced: each delivery carries both signatures."""
    secret_keys = (settings.secret_key, *settings.previous_secrets)
    return [derive_secret(secret_key, project_id) for secret_key in secret_keys]


def event_body(event_id: str, event_type: str, created_at: datetime, data: Any) -> bytes:
    """The JSON that is signed and sent; `created_at` is written in UTC with a Z."""
    event = {
        "id": event_id,
        "object": "event",
        "type": event_type,
        "created_at": created_at.astimezone(UTC),
        "data": data,
    }
    return write_json(event)


def signed_headers(
    webhook_id: str, body: bytes, secrets: Sequence[str], sent_at: datetime
) -> Mapping[str, str]:
    """The headers of one delivery, with one signature per secret: two while a secret rotates.

    `webhook_id` stays the same over retries, so that receivers can drop repeats; `sent_at` does not.
    """
    # The library ignores a datetime's zone and takes it for UTC.
    sent_at_utc = sent_at.astimezone(UTC)
    text = body.decode()
    signatures = (Webhook(secret).sign(webhook_id, sent_at_utc, text) for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(sent_at_utc.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
