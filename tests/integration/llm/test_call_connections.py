"""Connections of calls: one that is cancelled is closed, and a thousand are open at once."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import time
from collections.abc import Iterator

import pytest

from factory.domain.message import Params
from factory.llm.catalog import Catalog
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm import samples
from tests.integration.llm.test_call import TRACE, MakeClient, said

IDLE_LIMIT_S = 5.0
"""After which vLLM, whose server is uvicorn, closes an idle connection."""


def test_cancelling_a_call_closes_its_connection(
    runner: asyncio.Runner, make_client: MakeClient, catalog: Catalog
) -> None:
    async def cancel_one() -> bytes:
        connected: asyncio.Future[asyncio.StreamReader] = asyncio.Future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set_result(reader)
            await closed.wait()
            writer.close()

        closed = asyncio.Event()
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        client = make_client(f"http://{host}:{port}")
        call = asyncio.create_task(
            client.complete(catalog.find("gpt-4o-mini"), said("hello"), Params(), TRACE)
        )
        reader = await connected
        await reader.readuntil(b"hello")
        call.cancel()
        async with asyncio.timeout(60):
            rest = await reader.read()  # ends only when the other side closes
        closed.set()
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        return rest

    assert b"hello" not in runner.run(cancel_one())


def test_a_connection_that_an_own_server_is_about_to_close_is_not_used_again(
    runner: asyncio.Runner, make_client: MakeClient, catalog: Catalog
) -> None:
    body = json.dumps(samples.openai()).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def call_with_pauses(*pauses_s: float) -> int:
        """The number of connections. Of itself the server closes none."""
        opened = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            while head := await _head(reader):
                [length] = re.findall(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length))
                writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        client = make_client(f"http://{host}:{port}")
        for pause_s in pauses_s:
            await asyncio.sleep(pause_s)
            await client.complete(catalog.find("gpt-4o-mini"), said("hello"), Params(), TRACE)
        await client.close()
        server.close()
        return opened

    assert runner.run(call_with_pauses(0, 0)) == 1
    assert runner.run(call_with_pauses(0, IDLE_LIMIT_S - 0.5)) == 2


async def _head(reader: asyncio.StreamReader) -> bytes:
    """A request's head; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_calls_are_in_flight_at_once(
    runner: asyncio.Runner, simulator: HostedSimulator, make_client: MakeClient, catalog: Catalog
) -> None:
    client, model = make_client(simulator.url), catalog.find("gpt-4o-mini")
    slow = said("hello {{simulate latency_ms=10000}}")

    async def call_all() -> float:
        started = time.monotonic()
        await asyncio.gather(*(client.complete(model, slow, Params(), TRACE) for _ in range(1000)))
        return time.monotonic() - started

    # One after the other they would take 10,000 s, and a hundred at a time 100 s.
    assert runner.run(call_all()) < 80
