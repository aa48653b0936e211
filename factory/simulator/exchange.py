"""One call, from its receipt to the last byte of its answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace
from datetime import UTC, datetime

import orjson
from aiohttp import web

from factory.errors import FactoryError, Forbidden, InvalidInput, NotFound, Unauthorized
from factory.simulator.journal import Counts, Entry, Outcome, Phase
from factory.simulator.odd import spoil
from factory.simulator.playbook import Plan
from factory.simulator.provider import JSON_TYPE, Call, Endpoint, Fault, Provider, Reply
from factory.simulator.script import Act, Kind

SIGNATURE = {"Server": "factory-simulator", "x-simulated": "true"}
"""On every answer, so that nobody takes one for a model's."""

_STATUS_BY_REFUSAL: dict[type[FactoryError], int] = {
    InvalidInput: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
}
_BILLED = frozenset(Outcome) - {Outcome.PENDING, Outcome.REFUSED, Outcome.STATUS}
_RETRY_AFTER_S = 1.0
"""What a scripted 429 asks for when the script does not say."""


class Exchange:
    """Reads a request, plans what happens to it, and lets it happen."""

    def __init__(
        self,
        request: web.Request,
        provider: Provider,
        endpoint: Endpoint,
        call: Call,
        journal: Counts,
    ) -> None:
        self._request = request
        self._provider = provider
        self._endpoint = endpoint
        self._call = call
        self._journal = journal
        self._reply: Reply | None = None
        self._latency_ms = 0.0

    async def refuse(self, error: FactoryError) -> web.StreamResponse:
        """Answers with the provider's error for a request at fault."""
        self._journal.note(self._entry(Phase.RECEIVED, Outcome.PENDING))
        status = next(s for kind, s in _STATUS_BY_REFUSAL.items() if isinstance(error, kind))
        fault = Fault(status, self._call.id, error.message, error.param, error.code)
        return await self._fail(fault, Outcome.REFUSED)

    async def play(self, plan: Plan, reply: Reply) -> web.StreamResponse:
        """Answers by the plan; a client that leaves before the end is noted, then the call ends."""
        self._reply, self._latency_ms = reply, plan.latency_ms
        self._journal.note(self._entry(Phase.RECEIVED, Outcome.PENDING))
        act = plan.act
        try:
            if act is None or act.kind is Kind.TOOL:
                return await self._answer(reply, Outcome(act.kind) if act else Outcome.OK)
            if act.kind is Kind.STATUS:
                await self._pause(plan.latency_ms)
                return await self._fail(_fault(act, self._call), Outcome.STATUS)
            if act.kind is Kind.ODD:
                odd = spoil(self._provider.shape, act.odd or "", self._call, reply)
                return await self._answer(odd, Outcome.ODD)
            if act.kind is Kind.HANG:
                return await self._hang()
            if act.kind is Kind.CUT:
                return await self._cut(reply)
            return await self._answer(_spoil(reply), Outcome.GARBAGE)
        except (asyncio.CancelledError, ConnectionError):
            outcome = Outcome.HANG if act and act.kind is Kind.HANG else Outcome.CLIENT_GONE
            self._journal.note(self._entry(Phase.ABORTED, outcome))
            raise

    async def _fail(self, fault: Fault, outcome: Outcome) -> web.StreamResponse:
        refusal = self._provider.refuse(fault)
        status = refusal.status or fault.status
        await self._journal.commit(self._entry(Phase.ANSWERED, outcome, status))
        response = web.Response(
            status=status,
            body=orjson.dumps(refusal.body),
            headers=self._headers(JSON_TYPE) | refusal.headers,
        )
        return await self._send_rest(response)

    async def _answer(self, reply: Reply, outcome: Outcome) -> web.StreamResponse:
        headers = self._headers(reply.content_type)
        if not reply.streamed:
            await self._pause(self._latency_ms)
            await self._journal.commit(self._entry(Phase.ANSWERED, outcome, reply.status))
            response = web.Response(
                body=reply.chunks[0], headers=headers | reply.headers, status=reply.status
            )
            return await self._send_rest(response)
        stream = web.StreamResponse(headers=headers)
        await self._stream(stream, reply.chunks[:-1])
        await self._journal.commit(self._entry(Phase.ANSWERED, outcome, 200))
        await stream.write(reply.chunks[-1])
        return await self._send_rest(stream)

    async def _stream(self, response: web.StreamResponse, chunks: list[bytes]) -> None:
        """Sends the chunks: half of the latency before the first, the rest spread over all."""
        half_ms = self._latency_ms / 2
        await self._pause(half_ms)
        await response.prepare(self._request)
        for chunk in chunks:
            await self._pause(half_ms / len(chunks))
            await response.write(chunk)

    async def _hang(self) -> web.StreamResponse:
        """Waits until the server cancels this, which it does when the client goes."""
        await asyncio.Event().wait()
        raise ConnectionResetError

    async def _cut(self, reply: Reply) -> web.StreamResponse:
        """Sends half, then resets the connection. The provider would bill for such a call."""
        response = web.StreamResponse(headers=self._headers(reply.content_type))
        if reply.streamed:
            await self._stream(response, reply.chunks[: len(reply.chunks) // 2])
        else:
            body = reply.chunks[0]
            response.content_length = len(body)
            await self._stream(response, [body[: len(body) // 2]])
        await self._journal.commit(self._entry(Phase.ABORTED, Outcome.CUT, 200))
        _reset_connection(self._request)
        return response

    async def _pause(self, pause_ms: float) -> None:
        if pause_ms > 0:
            await asyncio.sleep(pause_ms / 1000)

    async def _send_rest(self, response: web.StreamResponse) -> web.StreamResponse:
        await response.prepare(self._request)
        await response.write_eof()
        return response

    def _headers(self, content_type: str) -> dict[str, str]:
        own = {"Content-Type": content_type, self._provider.request_id_header: self._call.id}
        return SIGNATURE | own

    def _entry(self, phase: Phase, outcome: Outcome, status: int | None = None) -> Entry:
        headers = self._call.headers
        billed = self._reply if outcome in _BILLED else None
        return Entry(
            at=datetime.now(UTC),
            phase=phase,
            call=self._call.id,
            provider=self._provider.name,
            endpoint=self._endpoint.name,
            model=self._call.model,
            outcome=outcome,
            status=status,
            job=headers.get("x-factory-job"),
            step=headers.get("x-factory-step"),
            attempt=headers.get("x-factory-attempt"),
            input_tokens=billed.input_tokens if billed else 0,
            output_tokens=billed.output_tokens if billed else 0,
            latency_ms=self._latency_ms,
            fully_sent=phase is Phase.ANSWERED,
        )


def _fault(act: Act, call: Call) -> Fault:
    retry_after_s = act.retry_after_s
    if retry_after_s is None and act.status == 429:
        retry_after_s = _RETRY_AFTER_S
    return Fault(act.status, call.id, retry_after_s=retry_after_s, left=act.left)


def _spoil(reply: Reply) -> Reply:
    """The same reply with its middle chunk broken off within the JSON, and closed as if it were whole."""
    middle = len(reply.chunks) // 2
    chunks = list(reply.chunks)
    chunks[middle] = chunks[middle][: len(chunks[middle]) // 2] + b"\n\n"
    return replace(reply, chunks=chunks)


def _reset_connection(request: web.Request) -> None:
    """Sends a TCP reset: a close without lingering, so that the client sees no orderly end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
