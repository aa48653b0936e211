from __future__ import annotations

import pytest

from factory.config import Settings, load_settings
from factory.proxy import Proxy, export_proxy

PROXY = "http://user:p%40ss@proxy.corp:3128"
GOOD = {
    "DATABASE_URL": "postgresql://user@host/name",
    "REDIS_URL": "redis://host:6379/0",
    "SECRET_KEY": "5f1c0de9a7b34286e2d1f80934c7ab65",
}


def settings(**variables: str) -> Settings:
    return load_settings({**GOOD, **variables})


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://api.openai.com/v1/chat/completions", False),
        ("", "http://127.0.0.1:11434/api/chat", True),
        ("", "http://127.8.9.1/", True),
        ("", "http://[::1]:8091/v1", True),
        ("", "http://localhost:8091/v1", True),
        ("", "http://my.localhost/v1", True),
        ("*", "https://api.openai.com/", True),
        ("internal.corp", "https://internal.corp/", True),
        ("internal.corp", "https://llm.internal.corp/", True),
        ("internal.corp", "https://notinternal.corp/", False),
        (".internal.corp", "https://llm.internal.corp/", True),
        ("*.internal.corp", "https://LLM.Internal.Corp/", True),
        ("internal.corp:8443", "https://internal.corp:8443/", True),
        ("internal.corp:8443", "https://internal.corp/", False),
        ("a.corp, b.corp c.corp", "http://c.corp/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://ten.corp/", False),
        ("10.1.2.3", "http://10.1.2.3:8080/", True),
        ("[fd00::1]", "http://[fd00::1]:8080/", True),
        ("nonsense/x", "http://10.1.2.3/", False),
    ],
)
def test_what_goes_straight(no_proxy: str, url: str, direct: bool) -> None:
    proxy = Proxy(PROXY, no_proxy)
    assert proxy.of(url) == (None if direct else PROXY)
    assert proxy.of(url) == (None if direct else PROXY)


def test_without_a_proxy_all_goes_straight() -> None:
    assert Proxy(None, "").of("https://api.openai.com/v1") is None


@pytest.mark.parametrize("name", ["PROVIDER_PROXY_URL", "WEBHOOK_PROXY_URL"])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("proxy.corp:3128", "must start with http:// or https://"),
        ("socks5://proxy.corp:1080", "must start with http:// or https://"),
        ("http://user:p@ss@proxy.corp:3128", "percent-encoded"),
        ("http://user:p/ss@proxy.corp:3128", "percent-encoded"),
        ("http://proxy.corp:3128/path", "no path"),
        ("http://", "no host"),
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused(name: str, url: str, words: str) -> None:
    with pytest.raises(Exception, match=words) as caught:
        settings(**{name: url})
    assert str(caught.value).startswith(f"{name} ")
    assert "ss@" not in str(caught.value)


def test_no_proxy_may_be_written_small() -> None:
    assert settings(no_proxy="a.corp").no_proxy == "a.corp"
    assert settings(no_proxy="a.corp", NO_PROXY="b.corp").no_proxy == "b.corp"


def test_libraries_that_look_into_the_environment_find_the_same_proxy() -> None:
    environ = {"https_proxy": "http://another.corp"}
    export_proxy(settings(PROVIDER_PROXY_URL=PROXY, NO_PROXY="a.corp"), environ)
    assert environ["https_proxy"] == environ["HTTPS_PROXY"] == environ["http_proxy"] == PROXY
    assert environ["no_proxy"] == "a.corp,localhost,127.0.0.1,::1"


def test_without_the_setting_the_environment_stays() -> None:
    environ: dict[str, str] = {}
    export_proxy(settings(), environ)
    assert environ == {}
