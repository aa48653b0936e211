"""Connections of calls: one that is cancelled is closed, and a thousand are open at once."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator

import pytest

from factory.domain.message import Params
from factory.llm.catalog import Catalog
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm.test_call import TRACE, MakeClient, said


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
        async with asyncio.timeout(5):
            rest = await reader.read()  # ends only when the other side closes
        closed.set()
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        return rest

    assert b"hello" not in runner.run(cancel_one())


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
