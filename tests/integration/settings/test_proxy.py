"""Calls and webhooks through an HTTP proxy: over its real wire, and only where a setting says so."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import connector

from factory.config import Settings
from factory.domain.message import Message, Params, Role
from factory.errors import ProviderUnavailable, WebhookFailed, WebhookRefused
from factory.llm.call import CallTrace
from factory.llm.catalog import load_catalog
from factory.proxy import Proxy, export_proxy
from factory.webhooks.allowed import PUBLIC_ONLY
from factory.webhooks.deliver import Delivery, WebhookClient
from factory.webhooks.sign import derive_secret
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import settings_below
from tests.integration.llm.recorder import Recorder, running_recorder
from tests.integration.settings.certificates import make_authority
from tests.integration.settings.http_proxy import HttpProxy, running_http_proxy
from tests.integration.settings.tls_front import running_front

LOGIN = "user:secret-of-the-proxy"
HELLO = (Message(Role.USER, "hello"),)
TRACE = CallTrace("job-1", "answer", 1)
PUBLIC = "93.184.216.34"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with running_recorder() as recorder:
        recorder.answer = samples.openai()
        yield recorder


@pytest.fixture
def proxy(recorder: Recorder) -> Iterator[HttpProxy]:
    with running_http_proxy(("127.0.0.1", urlsplit(recorder.url).port or 0), LOGIN) as proxy:
        yield proxy


def settings(base: str, proxy_url: str | None, **more: Any) -> Settings:
    given = {**settings_below(base).model_dump(), "provider_proxy_url": proxy_url, **more}
    return Settings(**given)


def call(chosen: Settings, model: str = "openai/gpt-4o-mini") -> str:
    async def complete() -> str:
        client = Caller(chosen)
        try:
            found = load_catalog("").find(model)
            return (await client.complete(found, HELLO, Params(timeout_s=30), TRACE)).text or ""
        finally:
            await client.close()

    return asyncio.run(complete())


def test_a_call_goes_through_the_proxy_that_is_set(proxy: HttpProxy, recorder: Recorder) -> None:
    assert call(settings("http://llm.test:8080", proxy.url)) == samples.TEXT
    assert proxy.targets == ["POST http://llm.test:8080/openai/v1/chat/completions"]
    assert "proxy-authorization" in proxy.heads[0].lower()
    assert recorder.sent[0].headers["host"] == "llm.test:8080"


@needs_openssl
def test_a_call_over_tls_is_tunneled_and_the_proxy_sees_nothing_of_it(
    proxy: HttpProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path, "ours")
    with running_front(proxy.upstream, *authority.issue("llm.test")) as port:
        context = connector._make_ssl_context(True)
        context.load_verify_locations(authority.certificate)
        monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", context)
        proxy.upstream = ("127.0.0.1", port)
        assert call(settings("https://llm.test", proxy.url)) == samples.TEXT
    assert proxy.targets == ["CONNECT llm.test:443"]
    assert "key-openai" not in "".join(proxy.heads)


def test_what_no_proxy_names_and_this_machine_are_called_directly(
    proxy: HttpProxy, recorder: Recorder
) -> None:
    assert call(settings(recorder.url, proxy.url)) == samples.TEXT
    with pytest.raises(ProviderUnavailable, match="was not found"):
        call(settings("http://llm.test:8080", proxy.url, no_proxy="llm.test"))
    assert proxy.targets == []


@pytest.mark.parametrize("base", ["http://llm.test:8080", "https://llm.test"])
def test_wrong_credentials_are_told_without_them(proxy: HttpProxy, base: str) -> None:
    wrong = proxy.url.replace("secret-of", "wrong-for")
    with pytest.raises(ProviderUnavailable) as caught:
        call(settings(base, wrong))
    assert "the proxy wants other credentials (407)" in caught.value.message
    assert "wrong-for" not in caught.value.message
    assert "key-openai" not in caught.value.message


@pytest.mark.parametrize("refuses", [True, False])
def test_a_proxy_that_refuses_or_is_away_is_told(proxy: HttpProxy, refuses: bool) -> None:
    url, words = proxy.url, "the proxy answered 403"
    proxy.refuses = refuses
    if not refuses:
        with closing(socket.create_server(("127.0.0.1", 0))) as gone:
            url = f"http://{LOGIN}@127.0.0.1:{gone.getsockname()[1]}"
        words = "the proxy does not answer"
    with pytest.raises(ProviderUnavailable, match=words) as caught:
        call(settings("https://llm.test", url))
    assert "secret-of" not in caught.value.message


def test_litellms_own_calls_take_the_same_proxy(
    proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "key-deepseek")
    monkeypatch.setenv("DEEPSEEK_API_BASE", "http://deepseek.test:8080")
    chosen = settings("http://llm.test:8080", proxy.url)
    environ: dict[str, str] = {}
    export_proxy(chosen, environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert call(chosen, "deepseek/deepseek-chat") == samples.TEXT
    assert [target.partition("//")[2].partition("/")[0] for target in proxy.targets] == [
        "deepseek.test:8080"
    ]


def deliver(url: str, proxy: Proxy, *answers: list[str]) -> Delivery:
    """With a name server that says what is given; no packet leaves the machine."""

    class Names(asyncio.SelectorEventLoop):
        async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
            found = [str(host)] if str(host)[0].isdigit() else next(given)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port or 0)) for ip in found]

    async def post() -> Delivery:
        webhook_client = WebhookClient(PUBLIC_ONLY, timeout_s=30, proxy=proxy)
        try:
            secret = derive_secret("k" * 32, "proj_1")
            return await webhook_client.deliver(url, "evt_1", b"{}", [secret], datetime.now(UTC))
        finally:
            await webhook_client.close()

    given = iter(answers)
    with asyncio.Runner(loop_factory=Names) as runner:
        return runner.run(post())


@pytest.fixture
def receiver() -> Iterator[Recorder]:
    with running_recorder() as recorder:
        recorder.answer = {}
        yield recorder


def test_a_webhook_is_led_to_the_address_that_was_checked(receiver: Recorder) -> None:
    upstream = ("127.0.0.1", urlsplit(receiver.url).port or 0)
    with running_http_proxy(upstream, LOGIN) as proxy:
        url = "http://hooks.example.com:8080/in"
        answered = deliver(url, Proxy(proxy.url, ""), [PUBLIC], ["127.0.0.1"])
    assert answered.http_status == 200
    assert proxy.targets == [f"POST http://{PUBLIC}:8080/in"]
    assert receiver.sent[0].headers["host"] == "hooks.example.com:8080"


@needs_openssl
def test_over_tls_the_certificate_is_that_of_the_name(
    receiver: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path, "ours")
    context = connector._make_ssl_context(True)
    context.load_verify_locations(authority.certificate)
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", context)
    upstream = ("127.0.0.1", urlsplit(receiver.url).port or 0)
    with ExitStack() as stack:
        port = stack.enter_context(running_front(upstream, *authority.issue("hooks.example.com")))
        proxy = stack.enter_context(running_http_proxy(("127.0.0.1", port)))
        way = Proxy(proxy.url, "")
        assert deliver("https://hooks.example.com/in", way, [PUBLIC]).http_status == 200
        with pytest.raises(WebhookFailed, match="certificate of the receiver is not valid"):
            deliver("https://other.example.com/in", way, [PUBLIC])
    assert set(proxy.targets) == {f"CONNECT {PUBLIC}:443"}


@pytest.mark.parametrize("inside", [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "169.254.169.254"]])
def test_a_name_inside_the_network_is_refused_with_a_proxy_too(
    receiver: Recorder, inside: list[str]
) -> None:
    with running_http_proxy(("127.0.0.1", urlsplit(receiver.url).port or 0)) as proxy:
        with pytest.raises(WebhookRefused):
            deliver("http://hooks.example.com:8080/in", Proxy(proxy.url, ""), inside)
        with pytest.raises(WebhookRefused):
            deliver("http://10.0.0.1:8080/in", Proxy(proxy.url, ""))
    assert proxy.targets == []


def test_a_providers_proxy_is_none_for_webhooks() -> None:
    chosen = settings("http://llm.test", "http://127.0.0.1:3128")
    assert Proxy(chosen.webhook_proxy_url, chosen.no_proxy).of("http://hooks.example.com") is None
