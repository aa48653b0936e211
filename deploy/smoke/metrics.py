"""How many jobs have succeeded, as metrics tell: Prometheus, or whoever it scrapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from factory.cli.gateway import trusted_authorities
from factory.errors import Unavailable

HTTP_S = 10.0
METRIC = "jobs_finished_total"
QUERY = f'sum({METRIC}{{state="succeeded"}})'
NO_PARAMS: Mapping[str, str] = {}


def succeeded_by_prometheus(url: str) -> float:
    """By the server at this URL. Raises Unavailable."""
    answer = _get(f"{url.rstrip('/')}/api/v1/query", {"query": QUERY})
    return _understood(url, lambda: _value(answer.json()["data"]["result"]))


def succeeded_by_exporter(url: str) -> float:
    """By its /metrics. Raises Unavailable."""
    text = _get(url).text
    return _understood(url, lambda: _sum(text))


def _get(url: str, params: Mapping[str, str] = NO_PARAMS) -> httpx.Response:
    """As the gateway is asked: not through a proxy, and with the same authorities."""
    verify = trusted_authorities() if url.lower().startswith("https:") else True
    try:
        answer = httpx.get(
            url, params=dict(params) or None, timeout=HTTP_S, trust_env=False, verify=verify
        )
    except httpx.RequestError as error:
        trust = "; SSL_CERT_FILE names authorities" if "CERTIFICATE_VERIFY" in str(error) else ""
        reason = str(error) or type(error).__name__
        raise Unavailable(f"{_shown(url)} does not answer: {reason}{trust}") from None
    if not answer.is_success:
        raise Unavailable(f"{_shown(url)} answered {answer.status_code} {answer.reason_phrase}")
    return answer


def _value(found: list[Any]) -> float:
    return float(found[0]["value"][1]) if found else 0.0


def _sum(text: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == METRIC and sample.labels["state"] == "succeeded"
    )


def _understood(url: str, read: Callable[[], float]) -> float:
    try:
        return read()
    except (ValueError, KeyError, TypeError, IndexError):
        reason = "answers what has no metrics in it: is that its address?"
        raise Unavailable(f"{_shown(url)} {reason}") from None


def _shown(url: str) -> httpx.URL:
    """Without the password: what was answered is not told either."""
    return httpx.URL(url).copy_with(userinfo=b"")
