"""What others put into our broker: it is dropped or put aside, and told in the log, and no worker ends of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import ResponseError

JSON = "application/json"
ASIDE = "factory.aside."
"""Before the name of a key that is ours and held something else."""
SHOWN_BYTES = 200
LONGEST_BYTES = 256 * 1024
"""Ours carry 512 ids at most, which are 40 KB."""

log = logging.getLogger(__name__)


class ForeignMessage(Exception):
    """A message that no program of ours sends."""


def read_message(text: bytes, tasks: Container[str] | None) -> dict[str, Any]:
    """The message, if Celery can be given it without harm. Raises ForeignMessage.

    Only what Celery reads without looking is checked: the shape, the names and the encoding. `tasks`: those that
    are known; None where any is.
    """
    if len(text) > LONGEST_BYTES:
        raise ForeignMessage(f"{len(text)} bytes")
    try:
        # orjson shares the names of the headers among messages: half the memory of each, a third of the time.
        message = orjson.loads(text)
        headers, properties = message["headers"], message["properties"]
        if tasks is not None and headers["task"] not in tasks:
            raise ForeignMessage(
                f"a task that is not known here: {str(headers['task'])[:SHOWN_BYTES]!r}"
            )
        fits = (
            message["content-type"] == JSON
            and isinstance(message["body"], str)
            and isinstance(headers["id"], str)
            and properties["body_encoding"] == "base64"
            and isinstance(properties["delivery_tag"], str)
            and isinstance(properties["delivery_info"]["routing_key"], str)
            and not headers.get("compression")
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ForeignMessage(f"{type(error).__name__}: {str(error)[:SHOWN_BYTES]}") from None
    if not fits:
        raise ForeignMessage("it is no message of Celery's")
    found: dict[str, Any] = message
    return found


class DroppedMessages:
    """Counts what was dropped; tells of the first, the tenth, the hundredth …"""

    def __init__(self) -> None:
        self.dropped = 0

    def drop(self, queue: str, text: bytes, why: Exception) -> None:
        """The message is not ours, or nothing can be done with it."""
        self.dropped += 1
        if str(self.dropped).strip("0") == "1":
            shown = text[:SHOWN_BYTES]
            log.error(
                "message %d on %s that is not ours is dropped: %s: %r",
                self.dropped,
                queue,
                why,
                shown,
            )


def holds_another_type(error: Exception) -> bool:
    """Whether Redis says that a key is no list, or no set, where we need one."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def put_aside(client: Redis, key: str, wanted: bytes) -> None:
    """Renames the key if it holds something else than `wanted`, so that ours can be made; nothing is deleted."""
    found: Any = client.type(key)
    if found not in (wanted, b"none"):
        client.rename(key, ASIDE + key)
        log.error(
            "Redis' key %s held a %s that is not ours: it is %s now. Give the factory a database of its own",
            key,
            found.decode(),
            ASIDE + key,
        )


def with_own_key(client: Redis, key: str, wanted: bytes, use: Callable[[], Any]) -> Any:
    """What `use` gives, once more where the key was somebody else's."""
    try:
        return use()
    except ResponseError as error:
        if not holds_another_type(error):
            raise
        put_aside(client, key, wanted)
        return use()
