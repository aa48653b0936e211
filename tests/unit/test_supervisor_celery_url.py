from __future__ import annotations

import pytest

from factory.embedded.valkey import celery_url


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("unix:///run/a.sock?db=3", "redis+socket:///run/a.sock?virtual_host=3"),
        ("unix:///run/a.sock", "redis+socket:///run/a.sock?virtual_host=0"),
        ("unix:///a%20b/a.sock?db=0", "redis+socket:///a%20b/a.sock?virtual_host=0"),
    ],
)
def test_a_socket_url_takes_kombus_form(redis_url: str, expected: str) -> None:
    assert celery_url(redis_url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pass@127.0.0.1:6379/0",
        "rediss://host:6380/1?ssl_cert_reqs=required",
        "sentinel://a:26379;sentinel://b:26379/0",
    ],
)
def test_other_urls_pass_unchanged(url: str) -> None:
    assert celery_url(url) == url
