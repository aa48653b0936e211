"""The messages between parent and child: pickles, each after its length in 8 bytes."""

from __future__ import annotations

import pickle
import struct
from typing import Any

HEADER = struct.Struct("!Q")


def pack(value: Any) -> bytes:
    """The value as a frame. Raises what pickle raises for a value that it cannot write."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """How many bytes follow the header."""
    size: int = HEADER.unpack(header)[0]
    return size


def unpack(body: bytes) -> Any:
    """The value. Only for frames of our own child or parent."""
    return pickle.loads(body)  # noqa: S301 - both ends are this program
