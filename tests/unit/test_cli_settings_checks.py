from __future__ import annotations

import pytest

from factory.cli.settings_checks import check_ways
from factory.config import Settings

GIVEN = {
    "database_url": "postgresql://nowhere",
    "secret_key": "test-secret-key-of-32-characters!",
}


def test_the_ways_out_are_told_without_credentials() -> None:
    settings = Settings(
        **GIVEN,
        redis_url="rediss://:hunter2-of-redis@cache/0",
        provider_proxy_url="http://user:hunter2@proxy.corp:3128",
    )
    tls, proxy = check_ways(settings)
    assert (tls.status, tls.detail) == ("ok", "verified, by the system")
    assert (proxy.name, proxy.detail) == ("PROVIDER_PROXY_URL", "proxy.corp:3128")


def test_a_server_that_is_not_verified_is_warned_of() -> None:
    [tls] = check_ways(Settings(**GIVEN, redis_url="rediss://cache/0?ssl_cert_reqs=CERT_NONE"))
    assert (tls.status, tls.detail) == ("warn", "its certificate is not verified")


def test_nothing_is_said_where_nothing_is_set() -> None:
    assert list(check_ways(Settings(**GIVEN, redis_url="redis://cache/0"))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("WEBHOOK_ALLOWED_HOSTS", "hooks.corp, 10.1.0.0/16"), ("EXTRA_MODELS", "openai/ours")],
)
def test_receivers_and_models_are_told(name: str, value: str) -> None:
    settings = Settings(**GIVEN, redis_url="redis://cache/0", **{name.lower(): value})
    [check] = check_ways(settings)
    assert (check.name, check.status, check.detail) == (name, "ok", value)
