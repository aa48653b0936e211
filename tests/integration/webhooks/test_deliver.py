"""Deliveries to a real receiver on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from factory.errors import WebhookFailed, WebhookRefused
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.deliver import LONGEST_ANSWER_BYTES, Delivery, WebhookClient
from factory.webhooks.sign import derive_secret, event_body

SECRET = derive_secret("k" * 32, "proj_1")
BODY = event_body("evt_1", "job.succeeded", datetime.now(UTC), {"id": "job_1"})

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """What reached a customer's server."""

    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""


@contextlib.asynccontextmanager
async def receiving(answer: Answer) -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def handle(request: web.Request) -> web.StreamResponse:
        receiver.requests.append(request)
        receiver.bodies.append(await request.read())
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def post(webhook_client: WebhookClient, url: str) -> Delivery:
    return await webhook_client.deliver(url, "evt_1", BODY, [SECRET], datetime.now(UTC))


@contextlib.asynccontextmanager
async def webhook_client(timeout_s: float = 60.0) -> AsyncIterator[WebhookClient]:
    opened = WebhookClient(AllowedHosts(loopback=True), timeout_s=timeout_s)
    try:
        yield opened
    finally:
        await opened.close()


def deliver(answer: Answer, timeout_s: float = 60.0) -> tuple[Delivery | Exception, Receiver]:
    """One delivery to a receiver that gives `answer`: what came of it, and what the receiver saw."""

    async def scenario() -> tuple[Delivery | Exception, Receiver]:
        async with receiving(answer) as receiver, webhook_client(timeout_s) as sender:
            try:
                return await post(sender, receiver.url), receiver
            except (WebhookFailed, WebhookRefused) as error:
                return error, receiver

    return asyncio.run(scenario())


def answering(status: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_a_delivery(status):
    delivery, receiver = deliver(answering(status))
    assert isinstance(delivery, Delivery)
    assert delivery.http_status == status
    assert 0 <= delivery.duration_ms < 60_000
    assert len(receiver.requests) == 1


def test_the_receiver_can_verify_what_it_got():
    _, receiver = deliver(answering(200))
    request = receiver.requests[0]
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("ai-agent-factory/")
    event = Webhook(SECRET).verify(receiver.bodies[0], dict(request.headers))
    assert event["id"] == request.headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize("status", [400, 404, 500, 502])
def test_an_error_status_fails_with_no_wait_of_its_own(status):
    error, _ = deliver(answering(status, **{"Retry-After": "30"}))
    assert isinstance(error, WebhookFailed)
    assert error.http_status == status
    assert error.retry_after_s is None
    assert error.retryable


def test_a_redirect_is_a_failure_and_is_not_followed():
    error, receiver = deliver(answering(307, Location="/elsewhere"))
    assert isinstance(error, WebhookFailed)
    assert error.http_status == 307
    assert [request.path for request in receiver.requests] == ["/hooks"]


def test_410_is_never_tried_again():
    error, _ = deliver(answering(410))
    assert isinstance(error, WebhookRefused)
    assert error.code == "gone"
    assert not error.retryable


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_receiver_says_when_to_come_back_in_seconds(status):
    error, _ = deliver(answering(status, **{"Retry-After": "120"}))
    assert isinstance(error, WebhookFailed)
    assert error.retry_after_s == 120.0


def test_a_busy_receiver_says_when_to_come_back_as_a_date():
    until = datetime.now(UTC) + timedelta(seconds=90)
    error, _ = deliver(answering(429, **{"Retry-After": format_datetime(until, usegmt=True)}))
    assert isinstance(error, WebhookFailed)
    assert error.retry_after_s == pytest.approx(90, abs=10)


@pytest.mark.parametrize("nonsense", ["", "soon", "-5", "Mon, 99 Foo 99999999999 25:61:61 GMT"])
def test_a_retry_after_that_says_nothing_is_ignored(nonsense):
    error, _ = deliver(answering(429, **{"Retry-After": nonsense}))
    assert isinstance(error, WebhookFailed)
    assert error.retry_after_s is None


async def _answer_never(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("the receiver waits for ever")


def test_a_receiver_that_does_not_answer_in_time_fails():
    error, receiver = deliver(_answer_never, timeout_s=2.0)
    assert isinstance(error, WebhookFailed)
    assert error.http_status is None
    assert "2 s" in error.message
    assert len(receiver.requests) == 1


def test_a_slow_receiver_holds_up_no_other():
    all_in = asyncio.Barrier(150 + 1)

    async def stall(request: web.Request) -> web.StreamResponse:
        await all_in.wait()
        return await _answer_never(request)

    async def scenario() -> None:
        async with (
            receiving(stall) as slow,
            receiving(answering(200)) as quick,
            webhook_client() as sender,
        ):
            stuck = [asyncio.create_task(post(sender, slow.url)) for _ in range(150)]
            await asyncio.wait_for(all_in.wait(), 60)
            assert (await post(sender, quick.url)).http_status == 200
            assert not any(task.done() for task in stuck)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    asyncio.run(scenario())


def test_an_endless_body_is_not_read_and_the_status_counts():
    sent_bytes = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * LONGEST_ANSWER_BYTES)
            sent_bytes += LONGEST_ANSWER_BYTES

    delivery, _ = deliver(flood)
    assert isinstance(delivery, Delivery)
    # More than was read fits the buffers of two sockets, but not much more.
    assert sent_bytes < 32 * 1024 * 1024


def test_a_body_that_never_ends_cannot_turn_a_2xx_into_a_failure():
    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        return await _answer_never(request)

    delivery, _ = deliver(dribble, timeout_s=2.0)
    assert isinstance(delivery, Delivery)


def test_a_connection_serves_again_after_a_short_answer():
    peers: list[object] = []

    async def note_peer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(text="thanks")

    async def twice() -> None:
        async with receiving(note_peer) as receiver, webhook_client() as sender:
            await post(sender, receiver.url)
            await post(sender, receiver.url)

    asyncio.run(twice())
    assert len(peers) == 2
    assert peers[0] == peers[1]


def test_a_proxy_of_the_environment_is_passed_by(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    delivery, receiver = deliver(answering(200))
    assert isinstance(delivery, Delivery)
    assert len(receiver.requests) == 1


def test_no_cookie_is_kept_between_receivers():
    async def scenario() -> Receiver:
        async with receiving(answering(200, **{"Set-Cookie": "a=b"})) as receiver:
            async with webhook_client() as sender:
                await post(sender, receiver.url)
                await post(sender, receiver.url)
            return receiver

    assert all("Cookie" not in request.headers for request in asyncio.run(scenario()).requests)
