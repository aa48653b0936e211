"""Checks a body's type, size and shape before anything reads its content."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Request
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from factory.domain.text import find_nul
from factory.errors import InvalidInput

LONGEST_BODY_BYTES = 1024 * 1024
DEEPEST = 32
JSON = "application/json"
WHOLE_BODY = "factory.body"
"""Where a request's environment may hold its body, which then has arrived as announced."""


class StrictRequest(Request):
    """A request whose `get_json` refuses what a lenient parser would guess at, and whose body has a limit."""

    def __init__(
        self, environ: dict[str, Any], populate_request: bool = True, shallow: bool = False
    ) -> None:
        super().__init__(environ, populate_request, shallow)
        self.max_content_length = LONGEST_BODY_BYTES

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The JSON object of the body. Answers 413, 415, 400 that names line and column, or 422."""
        self.require_type(JSON)
        value = parse_json(self.read_whole())
        if not isinstance(value, dict):
            raise InvalidInput("send a JSON object")
        return value

    def read_whole(self) -> bytes:
        """The body, or 413, or 400 where it was cut off.

        Werkzeug ends a body at the limit, or where the connection broke, as if that were all of it:
        the first lines of a bulk would be accepted, and the others silently lost.
        """
        whole: bytes | None = self.environ.get(WHOLE_BODY)
        if whole is not None:
            return whole  # Werkzeug's streams around it would cost a tenth of a POST
        text = self.get_data()
        if self.content_length is None:
            if len(text) >= (self.max_content_length or 0):
                raise RequestEntityTooLarge
        elif len(text) < self.content_length:
            raise ClientDisconnected
        return text

    def require_type(self, *types: str) -> None:
        """Raises UnsupportedMediaType unless Content-Type is one of `types`, in plain UTF-8."""
        if (
            self.environ.get("CONTENT_TYPE") in types
            and "HTTP_CONTENT_ENCODING" not in self.environ
        ):
            return  # as nearly all have it; there is nothing to parse
        if self.mimetype not in types:
            raise UnsupportedMediaType(f"send Content-Type: {types[0]}, not {self.mimetype!r}")
        if self.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaType("send the body in UTF-8")
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("send the body as it is, without Content-Encoding")


def parse_json(text: bytes) -> Any:
    """The value of a JSON text (RFC 8259, UTF-8), at most 32 levels deep and without NUL characters."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    # Few texts have enough brackets to be too deep: the others need no walk.
    if text.count(b"{") + text.count(b"[") > DEEPEST and _is_deeper(value, DEEPEST):
        raise InvalidInput(f"the JSON is nested deeper than {DEEPEST} levels")
    # A NUL can only arrive escaped, so most texts need no search.
    if b"\\u0000" in text and (place := find_nul(value)):
        raise InvalidInput(f"{place} holds a NUL character, which cannot be stored", param=place)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, list):
        parts = value  # type: ignore[assignment]
    else:
        return False
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)
