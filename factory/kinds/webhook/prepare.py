"""Checks the webhook of a job that is submitted. The job that delivers it is inserted later, by the statement that ends
the submitted job.
"""

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
