"""What a kind may use while one of its jobs runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from factory.calls.gate import Gate, open_gate
from factory.config import Settings
from factory.knowledge.local import LocalModel
from factory.llm.catalog import Catalog
from factory.proxy import Proxy
from factory.redaction import Redactor
from factory.services import Services
from factory.store.group_commit import GroupCommitter
from factory.store.reader import Reader
from factory.webhooks.allowed import allowed_hosts
from factory.webhooks.deliver import WebhookClient


@dataclass(frozen=True, slots=True)
class Means:
    """Shared by all jobs of a worker. Made and used on the loop that runs them.

    Of the worker itself, a kind learns only whether a call may be made, by the gate.
    """

    settings: Settings
    catalog: Catalog
    committer: GroupCommitter
    reader: Reader
    redactor: Redactor
    gate: Gate
    local: LocalModel
    webhooks: WebhookClient

    async def close(self) -> None:
        """After the last job. The committer writes what is left."""
        await self.local.close()
        self.reader.close()
        await self.gate.close()
        await self.webhooks.close()
        await asyncio.to_thread(self.committer.stop)


def open_means(services: Services, catalog: Catalog, holds_leases: Callable[[], bool]) -> Means:
    """Connects on first use. Called on the loop."""
    settings = services.settings
    committer = GroupCommitter(services.database, asyncio.get_running_loop())
    redactor = Redactor(settings)
    proxy = Proxy(settings.webhook_proxy_url, settings.no_proxy)
    return Means(
        settings,
        catalog,
        committer,
        Reader(settings.libpq_url),
        redactor,
        open_gate(services, catalog, committer, redactor, holds_leases),
        LocalModel(),
        WebhookClient(allowed_hosts(settings), proxy=proxy),
    )
