"""What a webhook needs when its job is submitted. Its own job is inserted by the statement that ends that one."""

from __future__ import annotations

from factory.kinds.request import WebhookIn
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.target import check_url


def receiver_url(webhook: WebhookIn | None, allowed: AllowedHosts) -> str | None:
    """The URL to notify of the job's end, if any. Raises InvalidInput for a URL that no webhook may go to."""
    if webhook is None:
        return None
    check_url(webhook.url, allowed)
    return webhook.url
