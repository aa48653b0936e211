"""Deliveries over TLS to a receiver whose certificate nobody vouches for."""

import asyncio
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory.errors import WebhookFailed
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.deliver import WebhookClient
from factory.webhooks.sign import derive_secret


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS context for localhost."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def test_the_name_is_sent_and_a_certificate_that_proves_nothing_gets_no_body(self_signed):
    asked_for: list[str | None] = []
    received: list[bytes] = []
    self_signed.sni_callback = lambda _socket, name, _context: asked_for.append(name)

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(receive, "127.0.0.1", 0, ssl=self_signed)
        port = server.sockets[0].getsockname()[1]
        webhook_client = WebhookClient(AllowedHosts(loopback=True), timeout_s=60)
        secret = derive_secret("k" * 32, "proj_1")
        try:
            with pytest.raises(WebhookFailed, match="certificate of the receiver is not valid"):
                await webhook_client.deliver(
                    f"https://localhost:{port}/", "evt_1", b"{}", [secret], datetime.now(UTC)
                )
        finally:
            await webhook_client.close()
            server.close()
            await server.wait_closed()

    asyncio.run(scenario())
    assert set(asked_for) == {"localhost"}
    assert b"".join(received) == b""
