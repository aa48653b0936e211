"""Finds where a request ends in the bytes of a connection (RFC 9112), before it is parsed.

Nothing is validated here: what is unclear is passed on as it is, and the server's parser refuses it
because it ends too early. So no thread ever waits for a client.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from api.body import LONGEST_BODY_BYTES
from api.bulk import LONGEST_BULK_BYTES

LONGEST_HEAD_BYTES = 32 * 1024
"""Request line and headers together, as many as nginx takes."""
LONGEST_CHUNK_LINE_BYTES = 4096
CHUNK_OVERHEAD = 2
"""How many times longer than its content a chunked body may be on the wire."""

HEAD_END = b"\r\n\r\n"
FIELDS = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.I
)
LENGTH = re.compile(rb"\d{1,18}")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
MODERN = b" HTTP/1.1\r\n"
BULK_PATH = b"/api/jobs/bulk"


class Received(NamedTuple):
    """A request as it came."""

    head: bytes
    body: bytes
    """With its chunks, where it is chunked."""
    whole: bool
    """Whether it ended as announced; if not, nothing more can be read from its connection."""
    too_large: bool = False
    """Whether a chunked body went beyond its limit."""
    head_too_large: bool = False


class Framing(NamedTuple):
    """What a head says of the body: its length, or that it is chunked; neither if it is unclear."""

    length: int | None
    chunked: bool
    expects_continue: bool
    limit: int


def framing_of(head: bytes) -> Framing:
    """Reads the fields that frame a body."""
    limit = LONGEST_BULK_BYTES if BULK_PATH in head[:64] else LONGEST_BODY_BYTES
    found = FIELDS.findall(head)
    if not found:
        return Framing(0, False, False, limit)
    lengths = [value for name, value in found if name.lower() == b"content-length"]
    codings = [value.lower() for name, value in found if name.lower() == b"transfer-encoding"]
    expects = any(value.lower() == b"100-continue" for _, value in found) and MODERN in head
    if not lengths and not codings:
        return Framing(0, False, expects, limit)
    if len(lengths) == 1 and not codings and LENGTH.fullmatch(lengths[0]):
        return Framing(int(lengths[0]), False, expects, limit)
    return Framing(None, not lengths and codings == [b"chunked"], expects, limit)


class Incoming:
    """The bytes of a connection that nobody has taken yet."""

    __slots__ = ("_chunks", "_data", "_framing", "_head_end", "_searched", "_was_asked")

    def __init__(self) -> None:
        self._data = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._searched = 0
        self._head_end = 0
        self._framing: Framing | None = None
        self._chunks: Chunks | None = None
        self._was_asked = False

    def __len__(self) -> int:
        return len(self._data)

    @property
    def in_body(self) -> bool:
        """Whether the head is there, and not all of the body."""
        return self._framing is not None

    @property
    def announced_bytes(self) -> int:
        """How long the body may be at most."""
        return (self._framing.length or self._framing.limit) if self._framing else 0

    def asks_to_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body; true once a request."""
        if self._was_asked or self._framing is None:
            return False
        self._was_asked = True
        return self._framing.expects_continue and len(self._data) == self._head_end

    def feed(self, data: bytes) -> None:
        """Adds what arrived."""
        self._data += data

    def take(self) -> Received | None:
        """The next request, or None until more of it has come."""
        if self._framing is None and not self._find_head():
            too_long = len(self._data) > LONGEST_HEAD_BYTES
            # A head whose lines end in LF alone has no end that is found here; the parser refuses it.
            return self.rest(too_long) if too_long or b"\n\n" in self._data else None
        assert self._framing
        if self._framing.chunked:
            return self._take_chunked(self._framing.limit)
        length = self._framing.length
        if length is None or length > self._framing.limit:
            return self.rest(body=False)
        end = self._head_end + length
        return self._cut(end) if len(self._data) >= end else None

    def rest(self, head_too_large: bool = False, body: bool = True) -> Received:
        """All that has arrived, though it is no whole request."""
        end = self._head_end or len(self._data)
        received = Received(
            bytes(self._data[:end]),
            bytes(self._data[end:]) if body else b"",
            whole=False,
            head_too_large=head_too_large,
        )
        self._data.clear()
        self._begin()
        return received

    def _find_head(self) -> bool:
        if not self._searched:
            # Empty lines before a request line are skipped: RFC 9112, 2.2.
            while self._data.startswith(b"\r\n"):
                del self._data[:2]
        found = self._data.find(HEAD_END, max(0, self._searched - 3))
        self._searched = len(self._data)
        if found < 0 or found + 4 > LONGEST_HEAD_BYTES:
            return False
        self._head_end = found + 4
        self._framing = framing_of(bytes(self._data[: self._head_end]))
        return True

    def _take_chunked(self, limit: int) -> Received | None:
        if self._chunks is None:
            self._chunks = Chunks(self._head_end, limit)
        try:
            end = self._chunks.find_end(self._data)
        except TooLarge:
            return self.rest()._replace(too_large=True)
        except Malformed:
            return self.rest()
        return None if end is None else self._cut(end)

    def _cut(self, end: int) -> Received:
        head, body = bytes(self._data[: self._head_end]), bytes(self._data[self._head_end : end])
        if len(self._data) == end:
            self._data = bytearray()
        else:
            del self._data[:end]
        self._begin()
        return Received(head, body, whole=True)


class Malformed(Exception):
    """No chunk begins where one must."""


class TooLarge(Exception):
    """The chunks carry, or need, more bytes than a body may have."""


class Chunks:
    """Finds the end of a chunked body (RFC 9112, 7.1), however small the pieces in which it comes."""

    __slots__ = ("_at", "_carried", "_in_trailers", "_limit", "_start")

    def __init__(self, start: int, limit: int) -> None:
        self._start = self._at = start
        self._limit = limit
        self._carried = 0
        self._in_trailers = False

    def find_end(self, data: bytearray) -> int | None:
        """The index behind the body, or None until it has come. Raises Malformed, TooLarge."""
        if len(data) - self._start > CHUNK_OVERHEAD * self._limit + LONGEST_HEAD_BYTES:
            raise TooLarge
        while (line_end := data.find(b"\r\n", self._at)) >= 0:
            line = bytes(data[self._at : line_end])
            if not self._in_trailers:
                if not self._pass_chunk(line, line_end + 2, len(data)):
                    return None
            elif line:
                self._at = line_end + 2
            else:
                return line_end + 2
        if len(data) - self._at > LONGEST_CHUNK_LINE_BYTES:
            raise Malformed
        return None

    def _pass_chunk(self, line: bytes, begin: int, there: int) -> bool:
        """Whether the chunk whose first line this is has come as a whole."""
        found = CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise Malformed
        size = int(found[1], 16)
        if self._carried + size > self._limit:
            raise TooLarge
        behind = begin + size + 2 if size else begin
        if there < behind:
            return False
        self._in_trailers = size == 0
        self._carried += size
        self._at = behind
        return True
