"""What a webhook needs when its job is submitted. Its own job is inserted by the statement that ends that one."""

from __future__ import annotations

from factory.kinds.request import WebhookIn
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.target import check_url


def receiver_url(webhook: WebhookIn | None, allowed: AllowedHosts) -> str | None:
    """Where to tell of the job's end, if anywhere. Raises InvalidInput for what is no place to tell it."""
    if webhook is None:
        return None
    check_url(webhook.url, allowed)
    return webhook.url
