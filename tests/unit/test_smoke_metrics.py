"""What the smoke test says of an address that answers something else than metrics."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from deploy.smoke.address import http_url
from deploy.smoke.metrics import _understood
from factory.errors import Unavailable


def test_an_answer_without_metrics_is_told_without_secrets():
    with pytest.raises(Unavailable) as told:
        _understood("http://me:hidden@metrics.internal/metrics", lambda: float("hidden"))
    assert "metrics.internal" in str(told.value)
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "http://", "http://[bad", "http://a b", "http://a:99999", "ftp://a", "a:80"],
)
def test_what_is_no_url_is_refused(text: str):
    with pytest.raises(ArgumentTypeError):
        http_url(text)


@pytest.mark.parametrize("text", ["https://api.example.org", "http://[::1]:8000", "http://a/b?c=d"])
def test_a_url_is_taken_as_it_is(text: str):
    assert http_url(f" {text}\n") == text
