"""Answers as people have met them: refused, cut, without counts, in odd spellings, with an error inside a 200.

A script's `odd=NAME` makes one of them of what would have been answered, in the provider's own shape.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from factory.simulator.provider import Call, Json, Reply

BOMB_BYTES = 256 * 2**20
LONG_HEADER_BYTES = 100_000

SpoilBody = Callable[[str, Json], Any]
SpoilReply = Callable[[Call, Reply], Reply]


def spoil(provider: str, name: str, call: Call, reply: Reply) -> Reply:
    """The reply as `name` says, in the shape of `provider`; a streamed one stays as it is."""
    if reply.streamed:
        return reply
    if name in REPLIES:
        return REPLIES[name](call, reply)
    body = BODIES[name](provider, orjson.loads(reply.chunks[0]))
    return replace(reply, chunks=[body if isinstance(body, bytes) else orjson.dumps(body)])


def _message(provider: str, body: Json) -> Json:
    """Where the text is: an object, and `_TEXT[provider]` is its member."""
    if provider == "openai" and body.get("choices"):
        return dict(body["choices"][0]["message"])
    if provider == "anthropic" and body.get("content"):
        return dict(body["content"][0])
    if provider == "gemini" and body.get("candidates"):
        return dict(body["candidates"][0]["content"]["parts"][0])
    return dict(body.get("message") or {})


_TEXT = {"openai": "content", "anthropic": "text", "gemini": "text", "ollama": "content"}
_FINISH = {
    "openai": ("stop", "length", "content_filter"),
    "anthropic": ("end_turn", "max_tokens", "refusal"),
    "gemini": ("STOP", "MAX_TOKENS", "SAFETY"),
    "ollama": ("stop", "length", "stop"),
}
"""The words for an end, a cut and a refusal; Ollama has none for the last."""
_COUNTS = {
    "openai": ("usage", "prompt_tokens", "completion_tokens"),
    "anthropic": ("usage", "input_tokens", "output_tokens"),
    "gemini": ("usageMetadata", "promptTokenCount", "candidatesTokenCount"),
    "ollama": ("", "prompt_eval_count", "eval_count"),
}


def _say(provider: str, body: Json, text: Any, finish: int = 0) -> Json:
    """The body with this text, or these parts, and this reason to stop."""
    reason = _FINISH[provider][finish]
    if provider == "openai":
        message = _message(provider, body) | {"content": text}
        return body | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    if provider == "anthropic":
        blocks = text if isinstance(text, list) else [{"type": "text", "text": text}]
        return body | {"content": blocks, "stop_reason": reason}
    if provider == "gemini":
        parts = text if isinstance(text, list) else [{"text": text}]
        content = {"role": "model", "parts": parts}
        return body | {"candidates": [{"content": content, "finishReason": reason, "index": 0}]}
    return body | {"message": {"role": "assistant", "content": text}, "done_reason": reason}


def _refuse(provider: str, body: Json) -> Json:
    refused = _say(provider, body, "I cannot help with that.", finish=2)
    if provider == "openai":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
        refused["choices"][0] |= {"message": message, "finish_reason": "stop"}
    return refused


def _block(provider: str, body: Json) -> Json:
    """The prompt itself is blocked: Gemini answers without candidates, the others with nothing said."""
    if provider != "gemini":
        return _say(provider, body, "", finish=2)
    blocked = {name: part for name, part in body.items() if name != "candidates"}
    return blocked | {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


def _count(provider: str, body: Json, spoil_counts: Callable[[str, str], Json]) -> Json:
    member, read, written = _COUNTS[provider]
    counts = spoil_counts(read, written)
    return body | ({member: counts} if member else counts)


def _uncounted(provider: str, body: Json) -> Json:
    member, read, written = _COUNTS[provider]
    return {name: part for name, part in body.items() if name not in (member, read, written)}


def _cached_above(provider: str, body: Json) -> Json:
    cached: Mapping[str, Json] = {
        "openai": {"prompt_tokens_details": {"cached_tokens": 10_000_000}},
        "gemini": {"cachedContentTokenCount": 10_000_000},
        "anthropic": {"cache_read_input_tokens": -10_000_000},
        "ollama": {},
    }
    return _count(provider, body, lambda read, written: {read: 10, written: 10, **cached[provider]})


def _counted(read_tokens: Any, written_tokens: Any) -> SpoilBody:
    return lambda provider, body: _count(
        provider, body, lambda read, written: {read: read_tokens, written: written_tokens}
    )


def _huge(provider: str, body: Json) -> bytes:
    """Counts beyond 64 bits, which orjson cannot write."""
    marked = _counted("HUGE", "HUGE")(provider, body)
    return orjson.dumps(marked).replace(b'"HUGE"', b"9" * 30)


def _raw(text: bytes) -> SpoilBody:
    """A text that orjson would not write, put where the text was."""
    return lambda provider, body: orjson.dumps(_say(provider, body, "ODD-TEXT")).replace(
        b"ODD-TEXT", text
    )


def _error(error: Any) -> SpoilBody:
    return lambda provider, _body: (
        {"type": "error", "error": error}
        if provider == "anthropic"
        else {"choices": None, "error": error}
    )


def _parts(provider: str, body: Json) -> Json:
    return _say(
        provider, body, [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]
    )


def _empty(provider: str, body: Json) -> Json:
    member = {
        "openai": "choices",
        "anthropic": "content",
        "gemini": "candidates",
        "ollama": "message",
    }
    return body | {member[provider]: None if provider in ("anthropic", "ollama") else []}


BODIES: Mapping[str, SpoilBody] = {
    "refusal": _refuse,
    "blocked": _block,
    "cut-json": lambda provider, body: _say(provider, body, '{"answer": "It is', finish=1),
    "wrong-json": lambda provider, body: _say(provider, body, '{"answer": '),
    "empty": _empty,
    "error-429": _error({"code": 429, "message": "Rate limit reached", "type": "rate_limit_error"}),
    "error-502": _error({"code": 502, "message": "Provider returned error"}),
    "error-text": _error("model runner has unexpectedly stopped"),
    "html": lambda _provider, _body: b"<html><head><title>Sign in</title></head></html>",
    "no-usage": _uncounted,
    "null-usage": lambda provider, body: body | {_COUNTS[provider][0] or "eval_count": None},
    "part-usage": lambda provider, body: _count(
        provider, _uncounted(provider, body), lambda r, _: {r: 9}
    ),
    "negative-usage": _counted(-5, -7),
    "float-usage": _counted(5.5, 7.5),
    "huge-usage": _huge,
    "cached-above": _cached_above,
    "surrogate": _raw(b"a\\ud800b"),
    "nul": _raw(b"a\\u0000b"),
    "bad-utf8": _raw(b"a\xffb"),
    "parts": _parts,
    "bigint": lambda provider, body: _say(provider, body, '{"n": ' + "9" * 30 + "}"),
    "nan": lambda provider, body: _say(provider, body, '{"n": NaN}'),
    "long": lambda provider, body: _say(provider, body, "word " * 4000),
    "bom": lambda _provider, body: b"\xef\xbb\xbf" + orjson.dumps(body),
}
"""What is made of the body."""


def _bomb(_call: Call, reply: Reply) -> Reply:
    return replace(reply, chunks=[_packed()], headers={"Content-Encoding": "gzip"})


@cache
def _packed() -> bytes:
    return gzip.compress(b'{"x": "' + b" " * BOMB_BYTES + b'"}', compresslevel=1)


def _long_header(_call: Call, reply: Reply) -> Reply:
    return replace(reply, headers={"x-policy": "p" * LONG_HEADER_BYTES})


def _echo(status: int) -> SpoilReply:
    """A proxy that repeats the request's headers, keys among them, in its answer."""

    def echo(call: Call, reply: Reply) -> Reply:
        headers = dict(call.headers.items())
        words = f"cannot serve a request with the headers {headers} from 10.1.2.3:8080"
        body = {"error": {"message": words, "code": status}}
        return replace(reply, chunks=[orjson.dumps(body)], status=status)

    return echo


REPLIES: Mapping[str, SpoilReply] = {
    "gzip-bomb": _bomb,
    "long-header": _long_header,
    "echo-200": _echo(200),
    "echo-401": _echo(401),
    "echo-500": _echo(500),
}
"""What is made of the whole reply."""
ODDITIES = (*BODIES, *REPLIES)
