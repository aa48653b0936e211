"""Messages and keys in our broker that are not ours: dropped or put aside, and logged. No worker ends because of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Any

import orjson
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError

JSON = "application/json"
ASIDE = "factory.aside."
"""Prefix for keys that have one of our names and hold something else."""
SHOWN_BYTES = 200
LONGEST_BYTES = 256 * 1024
"""Longest message that is read. Ours carry at most 512 ids, which are 40 KB."""

log = logging.getLogger(__name__)


class ForeignMessage(Exception):
    """A message that no program of ours sends."""


def read_message(text: bytes, tasks: Container[str] | None) -> dict[str, Any]:
    """The message, if it is safe to give it to Celery. Raises ForeignMessage.

    Checks what Celery reads without checking: the shape, the names and the encoding. `tasks`: the known ones; None for
    any.
    """
    if len(text) > LONGEST_BYTES:
        raise ForeignMessage(f"{len(text)} bytes")
    try:
        # orjson shares the header names among messages, which saves half the memory, and takes a third of the time.
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
        raise ForeignMessage("it is not a message of Celery's")
    found: dict[str, Any] = message
    return found


class DroppedMessages:
    """Counts dropped messages, and logs the first, the tenth, the hundredth …"""

    def __init__(self) -> None:
        self.dropped = 0

    def drop(self, queue: str, text: bytes, why: Exception) -> None:
        """Drops a message that is not ours or cannot be used."""
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
    """Whether Redis says that a key holds another type than we need."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def put_aside(client: Redis, key: str, wanted: bytes) -> None:
    """Renames the key if it holds something else than `wanted`, so that ours can be made; nothing is deleted.

    Several processes find it at once: none renames what another has made there meanwhile.
    """

    def rename(pipeline: Pipeline) -> Any:
        found: Any = pipeline.type(key)
        pipeline.multi()
        if found in (wanted, b"none"):
            return None
        pipeline.rename(key, ASIDE + key)
        return found

    found: Any = client.transaction(rename, key, value_from_callable=True)
    if found:
        log.error(
            "Redis' key %s held a %s that is not ours: it is %s now. Give the factory a database of its own",
            key,
            found.decode(),
            ASIDE + key,
        )


def with_own_key(client: Redis, key: str, wanted: bytes, use: Callable[[], Any]) -> Any:
    """What `use` gives; if the key held another type, it is put aside and `use` is tried again."""
    try:
        return use()
    except ResponseError as error:
        if not holds_another_type(error):
            raise
        put_aside(client, key, wanted)
        return use()
