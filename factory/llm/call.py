"""Calls to providers: the connections of one process carry them all, each exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ConnectionTimeoutError,
    InvalidURL,
)

from factory.config import Settings
from factory.connection import connection_words, proxy_words
from factory.domain.message import Completion, Embeddings, Message, Params
from factory.errors import (
    AnswerTooLarge,
    ProviderCutOff,
    ProviderTimeout,
    ProviderUnavailable,
)
from factory.llm import provider
from factory.llm.catalog import Model
from factory.llm.check import AnswerCheck
from factory.llm.embedding import embedding_request
from factory.llm.endpoint import Endpoint, Request
from factory.llm.failure import provider_failure
from factory.llm.openai_shape import fit_schema
from factory.llm.post import CONNECT_S, Answer, Poster
from factory.llm.schema import Measured
from factory.llm.translation import Translator
from factory.proxy import Proxy
from factory.redaction import Redactor

PROXY_REFUSES = 407
"""Only a proxy answers with this status: it wants other credentials."""
ERROR_BYTES = 64 * 1024
"""How much of an error answer is read."""


@dataclass(frozen=True, slots=True)
class CallTrace:
    """Which job and attempt a call belongs to; sent as headers."""

    job_id: str
    step_key: str
    attempt: int
    traceparent: str | None = None
    owner: str = ""
    """Whose work it is, such as the job's project: owners take turns at what is scarce. Not sent."""

    def headers(self) -> dict[str, str]:
        """`x-factory-*`, and W3C's `traceparent` if there is one."""
        headers = {
            "x-factory-job": self.job_id,
            "x-factory-step": self.step_key,
            "x-factory-attempt": str(self.attempt),
        }
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers


class ProviderClient:
    """Calls models. It may be made anywhere, but is used and closed in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redactor = Redactor(settings)
        self._proxy = Proxy(settings.provider_proxy_url, settings.no_proxy)
        self._poster = Poster()
        self._check = AnswerCheck()
        self._translator = Translator()

    async def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        params: Params,
        trace: CallTrace,
        endpoint: Endpoint | None,
    ) -> Completion:
        """One try at `endpoint`, see `endpoint_of`. Cancelling it closes its connection.

        Raises a ProviderError that says what failed, InvalidOutput if the answer does not satisfy
        `params.json_schema`, and InvalidInput for a schema that no answer could be held against.
        """
        schema = params.json_schema
        if schema is None:
            return await self._ask(model, messages, params, trace, endpoint, None)
        measured = await self._check.prepare(schema, trace.owner)
        completion = await self._ask(model, messages, params, trace, endpoint, measured)
        return await fit_schema(
            completion, lambda text: self._check.parse(text, schema, measured, trace.owner)
        )

    async def _ask(
        self,
        model: Model,
        messages: Sequence[Message],
        params: Params,
        trace: CallTrace,
        endpoint: Endpoint | None,
        schema: Measured | None,
    ) -> Completion:
        timeout_s = params.timeout_s or self._settings.call_timeout_s
        if endpoint is None:
            return await self._translator.complete_other(
                model, messages, params, trace.headers(), timeout_s, schema, trace.owner
            )
        request = await self._translator.request(
            model, endpoint, messages, params, schema, trace.owner
        )
        most_bytes = self._settings.completion_answer_max_bytes
        body, latency_ms = await self._send(model.provider, request, trace, timeout_s, most_bytes)
        return await self._translator.completion(
            model, endpoint.base_url, request, body, latency_ms, trace.owner
        )

    async def embed(
        self, model: Model, texts: Sequence[str], trace: CallTrace, endpoint: Endpoint | None
    ) -> Embeddings:
        """One vector a text, in order; `endpoint` as for `complete`. Raises a ProviderError that says what failed."""
        timeout_s = self._settings.call_timeout_s
        if endpoint is None:
            return await provider.embed_other(model, texts, trace.headers(), timeout_s)
        request = embedding_request(model, texts, endpoint)
        most_bytes = self._settings.embedding_answer_max_bytes
        body, latency_ms = await self._send(model.provider, request, trace, timeout_s, most_bytes)
        return await self._translator.embeddings(model, texts, body, latency_ms, trace.owner)

    async def close(self) -> None:
        """Closes all connections, those of calls in flight too."""
        await self._poster.close()
        await self._check.close()
        await self._translator.close()
        await provider.close_other()

    async def _send(
        self,
        name: str,
        request: Request,
        trace: CallTrace,
        timeout_s: float,
        most_bytes: int,
    ) -> tuple[bytes, int]:
        """The body of a 2xx answer and its latency in milliseconds. Raises the ProviderError that any other answer
        means.
        """
        request.headers.update(trace.headers())
        proxy = self._proxy.of(request.url)
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._poster.post(request, timeout_s, proxy) as answer,
            ):
                body = await _read(name, answer, most_bytes)
        except ConnectionTimeoutError:
            raise ProviderUnavailable(
                f"{name}: no connection in {CONNECT_S:g} s", provider=name
            ) from None
        except TimeoutError:
            raise ProviderTimeout(f"{name}: no answer in {timeout_s:g} s", provider=name) from None
        except (ClientConnectorError, ClientHttpProxyError, InvalidURL) as error:
            raise ProviderUnavailable(_words(name, error), provider=name) from None
        except ClientError as error:
            # The request may have arrived, so it may be billed.
            raise ProviderCutOff(_words(name, error), provider=name) from None
        # Redirects are failures too: to follow one could send the key to another server.
        if proxy and answer.status == PROXY_REFUSES:
            raise ProviderUnavailable(
                f"connection to the provider failed: {proxy_words(answer.status)}", provider=name
            )
        if not _is_success(answer):
            clean = self._redactor.scrub(body)
            raise provider_failure(name, answer.status, answer.headers, clean)
        return body, round((time.monotonic() - started) * 1000)


def _is_success(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _words(name: str, error: Exception) -> str:
    return f"{name}: {connection_words(error, 'provider')}"


async def _read(name: str, answer: Answer, most_bytes: int) -> bytes:
    """The whole body, decompressed; of an error only the beginning. A connection lost meanwhile means an answer that
    was cut off, not one that never came.
    """
    success = _is_success(answer)
    try:
        body = await _read_at_most(answer, most_bytes if success else ERROR_BYTES)
    except TimeoutError:
        raise  # some of aiohttp's timeouts are ClientErrors too
    except ClientError as error:
        raise ProviderCutOff(
            _words(name, error), provider=name, http_status=answer.status
        ) from None
    if success and len(body) > most_bytes:
        raise AnswerTooLarge(
            f"{name}: the answer is longer than {most_bytes:,} bytes",
            provider=name,
            http_status=answer.status,
        )
    return body


async def _read_at_most(answer: Answer, most_bytes: int) -> bytes:
    """The body, or a little more than `most_bytes` of it; then the connection is closed. It is read in pieces because
    it is decompressed as it is read: `read` would decompress all of it.
    """
    length = answer.headers.get("Content-Length", "")
    fits = length.isdecimal() and int(length) <= most_bytes
    if fits and not answer.headers.get("Content-Encoding"):
        return await answer.content.read()
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes:
            answer.close()
            break
    return b"".join(pieces)
