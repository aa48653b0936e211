"""Where hints go in tests of dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from factory.pipeline.dispatch.publish import Message
from factory.services import Services
from tests.integration.store.samples import ask

Sent = list[tuple[str, list[list[UUID]]]]


class Outbox:
    """What went out, lane by lane."""

    def __init__(self) -> None:
        self.sent: Sent = []

    def send(self, lane: str, messages: Sequence[Message]) -> None:
        self.sent.append((lane, [list(message.job_ids) for message in messages]))

    @property
    def job_ids(self) -> list[UUID]:
        return [job_id for _, messages in self.sent for message in messages for job_id in message]


def published(services: Services) -> int:
    """Jobs that are marked as published."""
    return len(ask(services, "SELECT FROM hints"))
