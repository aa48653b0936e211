"""The limiter's Redis: another database than the broker's, whatever form the URLs have."""

from __future__ import annotations

import pytest
from redis import Redis

from factory.config import load_settings, resolve
from factory.config.limiter import beside, is_same_database
from factory.config.settings import Settings

SECRET = {
    "SECRET_KEY": "5f1c0de9a7b34286e2d1f80934c7ab65",
    "DATABASE_URL": "postgresql://host/name",
}
SENTINELS = "sentinel://:p%40ss@a:26379;sentinel://b:26379"


def settings_of(**environ: str) -> Settings:
    return load_settings({**SECRET, **environ})


@pytest.mark.parametrize(
    ("broker", "limiter"),
    [
        ("redis://host", "redis://host/1"),
        ("redis://host:6379/0", "redis://host:6379/1"),
        ("redis://:p%2Fw@host/3", "redis://:p%2Fw@host/4"),
        ("redis://[::1]:6379/14", "redis://[::1]:6379/15"),
        ("redis://host/15", "redis://host/0"),
        ("redis://host/20", "redis://host/21"),
        ("redis://host?db=2", "redis://host?db=3"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/1?ssl_cert_reqs=none"),
        ("unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=1"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=1"),
        (f"{SENTINELS}/0?master_name=jobs", f"{SENTINELS}/1?master_name=jobs"),
        (SENTINELS, f"{SENTINELS}/1"),
    ],
)
def test_by_default_it_is_the_next_database_of_the_brokers_server(
    broker: str, limiter: str
) -> None:
    assert beside(broker) == limiter
    assert settings_of(REDIS_URL=broker).limiter_url == limiter
    assert not is_same_database(broker, limiter)


def test_redis_py_reads_the_default_as_it_is_meant() -> None:
    settings = settings_of(REDIS_HOST="cache", REDIS_PASSWORD="a/b@c", REDIS_DB="3")
    found = Redis.from_url(settings.limiter_url).connection_pool.connection_kwargs
    assert (found["host"], found["db"], found["password"]) == ("cache", 4, "a/b@c")


@pytest.mark.parametrize(
    ("broker", "limiter"),
    [
        ("redis://host/0", "redis://host:6379"),
        ("redis://:one@host/0", "rediss://:two@HOST:6379/0"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=0"),
        (f"{SENTINELS}/2", "sentinel://b:26379;sentinel://a/2"),
    ],
)
def test_the_brokers_own_database_is_refused(broker: str, limiter: str) -> None:
    [fault] = resolve({"REDIS_URL": broker, "LIMITER_REDIS_URL": limiter})[1]
    assert fault.name == "LIMITER_REDIS_URL"
    assert "the broker's database" in fault.reason


@pytest.mark.parametrize(
    ("broker", "limiter"),
    [
        ("redis://host/0", "redis://host/1"),
        ("redis://host/0", "redis://host:6380/0"),
        ("redis://host/0", "redis://other/0"),
        (f"{SENTINELS}/0?master_name=jobs", f"{SENTINELS}/0?master_name=limits"),
    ],
)
def test_any_other_place_is_taken(broker: str, limiter: str) -> None:
    assert settings_of(REDIS_URL=broker, LIMITER_REDIS_URL=limiter).limiter_url == limiter


def test_it_may_be_named_by_parts() -> None:
    settings = settings_of(
        REDIS_URL="redis://host/0",
        LIMITER_REDIS_HOST="limits",
        LIMITER_REDIS_PORT="6380",
        LIMITER_REDIS_PASSWORD="a/b",
        LIMITER_REDIS_DB="2",
    )
    assert settings.limiter_url == "redis://:a%2Fb@limits:6380/2"


def test_parts_that_are_wrong_are_told_by_their_names() -> None:
    given = {"LIMITER_REDIS_HOST": "limits", "LIMITER_REDIS_DB": "first"}
    assert [fault.name for fault in resolve(given)[1]] == ["LIMITER_REDIS_DB"]
    assert [fault.name for fault in resolve({"LIMITER_REDIS_PORT": "1"})[1]] == [
        "LIMITER_REDIS_PORT"
    ]


def test_redis_tls_is_for_both_hosts_and_not_for_a_url_without_it() -> None:
    hosts = {"REDIS_HOST": "cache", "REDIS_TLS": "true"}
    both = settings_of(**hosts, LIMITER_REDIS_HOST="limits")
    assert both.limiter_url == "rediss://limits:6379/0"
    assert both.limiter_tls_options == both.redis_tls_options
    assert settings_of(**hosts).limiter_tls_options == both.redis_tls_options
    assert settings_of(**hosts, LIMITER_REDIS_URL="redis://limits/0").limiter_tls_options == {}
    sentinels = settings_of(REDIS_URL=f"{SENTINELS}/0", REDIS_TLS="true")
    assert sentinels.limiter_tls_options == sentinels.redis_tls_options != {}
