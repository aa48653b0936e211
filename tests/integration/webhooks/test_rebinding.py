"""A name whose owner makes it answer with an address inside our network."""

import asyncio
import socket
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest

from factory.errors import WebhookFailed, WebhookRefused
from factory.webhooks.allowed import PUBLIC_ONLY
from factory.webhooks.deliver import Delivery, WebhookClient
from factory.webhooks.sign import derive_secret

PUBLIC = "93.184.216.34"
RAW_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class HostileNetwork(asyncio.SelectorEventLoop):
    """The loop's name server gives one scripted answer a lookup; no packet leaves the machine.

    Connections to a public address are led to a listener of ours, as a router would. All that were
    asked for are on record.
    """

    def __init__(self, answers: list[list[str]]) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.connections: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        if not self.answers:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (ip, 0))
            for ip in self.answers.popleft()
        ]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.connections.append(address[0])
        await super().sock_connect(sock, self.listener.getsockname())

    async def answer_once(self) -> bytes:
        """Accepts a connection, answers 204, and gives the request's head."""
        connection, _ = await self.sock_accept(self.listener)
        with connection:
            head = await self.sock_recv(connection, 65536)
            await self.sock_sendall(connection, RAW_ANSWER)
            return head

    def close(self) -> None:
        if not self.is_closed():
            self.listener.close()
        super().close()


async def deliver(url: str = "http://hooks.example.com:8080/in") -> Delivery:
    webhook_client = WebhookClient(PUBLIC_ONLY, timeout_s=60)
    try:
        secret = derive_secret("k" * 32, "proj_1")
        return await webhook_client.deliver(url, "evt_1", b"{}", [secret], datetime.now(UTC))
    finally:
        await webhook_client.close()


def test_the_checked_address_is_the_one_called_whatever_the_name_says_next():
    network = HostileNetwork(answers=[[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])

    async def scenario() -> bytes:
        request = asyncio.create_task(network.answer_once())
        assert (await deliver()).http_status == 204
        return await request

    with asyncio.Runner(loop_factory=lambda: network) as runner:
        head = runner.run(scenario())
        assert b"\r\nHost: hooks.example.com:8080\r\n" in head
        assert network.connections == [PUBLIC]
        assert len(network.answers) == 2, "the name was looked up more than once"

        with pytest.raises(WebhookRefused, match="not public") as refusal:
            runner.run(deliver())
        assert refusal.value.code == "forbidden_target"
        assert network.connections == [PUBLIC]


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1"])
def test_one_address_inside_among_public_ones_refuses_all(inside):
    network = HostileNetwork(answers=[[PUBLIC, inside]])
    with asyncio.Runner(loop_factory=lambda: network) as runner:
        with pytest.raises(WebhookRefused):
            runner.run(deliver())
        assert network.connections == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "2130706433"])
def test_a_url_that_was_accepted_under_other_settings_is_checked_again(host):
    network = HostileNetwork(answers=[["127.0.0.1"]])
    with asyncio.Runner(loop_factory=lambda: network) as runner:
        with pytest.raises(WebhookRefused) as refusal:
            runner.run(deliver(f"http://{host}:8080/"))
        assert refusal.value.code == "forbidden_target"
        assert network.connections == []
        assert len(network.answers) == 1


def test_a_name_that_does_not_resolve_now_is_tried_again():
    network = HostileNetwork(answers=[])
    with (
        asyncio.Runner(loop_factory=lambda: network) as runner,
        pytest.raises(WebhookFailed, match="does not resolve"),
    ):
        runner.run(deliver())
