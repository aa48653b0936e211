"""One delivery of one event: a signed POST to a checked address, and what its answer means."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp import ClientResponse
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from factory import __version__
from factory.connection import connection_words
from factory.errors import InvalidInput, WebhookFailed, WebhookRefused
from factory.proxy import Proxy
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.sign import signed_headers
from factory.webhooks.target import check_url, resolve

ANSWER_S = 15.0
DIRECT = Proxy(None, "")
LONGEST_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """A receiver's 2xx."""

    http_status: int
    duration_ms: int


class WebhookClient:
    """Delivers over connections of its own, and only to addresses that `target` allows.

    To be made and closed inside the event loop that uses it. Any number of deliveries may be under way at once: a slow
    receiver holds up no other.
    """

    def __init__(
        self, allowed: AllowedHosts, timeout_s: float = ANSWER_S, proxy: Proxy = DIRECT
    ) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._proxy = proxy
        self._session = _session(_CheckedResolver(allowed), timeout_s)
        # A plain resolver: it resolves the proxy's name, which the operator sets and which may be private.
        self._proxied = _session(None, timeout_s)

    async def deliver(
        self, url: str, webhook_id: str, body: bytes, secrets: Sequence[str], sent_at: datetime
    ) -> Delivery:
        """Posts `body` once; retries are the job's.

        Raises WebhookRefused where no retry can help: the target may not be called (code
        `forbidden_target`) or answered 410 (code `gone`, which disables an endpoint). Raises
        WebhookFailed for any other answer but 2xx, redirects included, and for none within
        `timeout_s`.
        """
        self._check(url)
        headers = {"Content-Type": "application/json"}
        headers |= signed_headers(webhook_id, body, secrets, sent_at)
        started_s = time.monotonic()
        try:
            async with await self._post(url, body, headers) as answer:
                await _drain(answer)
        except TimeoutError as error:
            raise WebhookFailed(f"no answer within {self._timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise WebhookFailed(connection_words(error, "receiver")) from error
        _judge(answer)
        return Delivery(answer.status, round((time.monotonic() - started_s) * 1000))

    async def close(self) -> None:
        """Closes all connections; deliveries under way fail."""
        await self._session.close()
        await self._proxied.close()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> ClientResponse:
        proxy = self._proxy.of(url)
        if proxy is None:
            return await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        # A proxy would resolve a name again, perhaps to another address. So it gets the checked address, and the name
        # stays in Host and in TLS' server name.
        target = URL(url)
        host = target.host or ""
        async with asyncio.timeout(self._timeout_s):
            addresses = await resolve(host, self._allowed)
        # We cannot know which networks a proxy reaches; nearly all reach IPv4.
        address = min(addresses, key=lambda one: one.family is not socket.AF_INET)
        return await self._proxied.post(
            target.with_host(address.ip),
            data=body,
            headers={**headers, "Host": target.host_port_subcomponent or host},
            server_hostname=host if target.scheme == "https" else None,
            proxy=proxy,
            allow_redirects=False,
        )

    def _check(self, url: str) -> None:
        # The setting may have changed since the job was submitted, and a literal IP address skips the resolver.
        try:
            check_url(url, self._allowed)
        except InvalidInput as error:
            raise WebhookRefused(error.message, code="forbidden_target") from error


def _session(resolver: AbstractResolver | None, timeout_s: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver, limit=0),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        headers={"User-Agent": f"ai-agent-factory/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        # A proxy of the environment would resolve the name again, perhaps to another address.
        trust_env=False,
        auto_decompress=False,
    )


class _CheckedResolver(AbstractResolver):
    """Gives aiohttp checked addresses only. The name stays in Host and in TLS' server name."""

    def __init__(self, allowed: AllowedHosts) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address.ip,
                port=port,
                family=address.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await resolve(host, self._allowed)
        ]

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Reads a short body so that the connection can serve again; one with a longer body is closed.

    The status alone decides, and it is known by now: a body that breaks off or comes slowly changes nothing.
    """
    read_bytes = 0
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async for chunk in answer.content.iter_any():
            read_bytes += len(chunk)
            if read_bytes > LONGEST_ANSWER_BYTES:
                return


def _judge(answer: aiohttp.ClientResponse) -> None:
    """Raises the error that a status other than 2xx means."""
    status = answer.status
    if 200 <= status < 300:
        return
    if status == 410:
        raise WebhookRefused("the receiver answered 410 Gone", code="gone", http_status=status)
    if 300 <= status < 400:
        message = f"the receiver redirects ({status}), which is not followed: use its final URL"
        raise WebhookFailed(message, http_status=status)
    raise WebhookFailed(
        f"the receiver answered {status}",
        http_status=status,
        retry_after_s=_retry_after_s(answer) if status in (429, 503) else None,
    )


def _retry_after_s(answer: aiohttp.ClientResponse) -> float | None:
    """Seconds from now that Retry-After asks for, as a number or a date; None if it says neither.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
