"""Anthropic's wire format: messages. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from factory.errors import InvalidInput, Unauthorized
from factory.simulator.answer import Answer, Question, answer_question, join_text, split_text
from factory.simulator.provider import (
    EVENTS_TYPE,
    Call,
    Endpoint,
    Fault,
    Json,
    Provider,
    Refusal,
    Reply,
    format_event,
    is_wrong_key,
    refuse_long_prompt,
    refuse_unknown_model,
)
from factory.simulator.schema import Schema

_TOO_LONG = "prompt is too long: {tokens} tokens > {limit} maximum"
_MODELS = ("claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5")
_REQUEST_LIMIT = 50
_TOKEN_LIMIT = 80_000


def authorize(call: Call) -> None:
    """An `x-api-key`."""
    key = call.headers.get("x-api-key", "")
    if not key:
        raise Unauthorized("x-api-key header is required")
    if is_wrong_key(key):
        raise Unauthorized("invalid x-api-key")


def reply_messages(call: Call) -> Reply:
    """POST /v1/messages."""
    answer = answer_question(_read(call), call.digest)
    if call.body.get("stream"):
        chunks = _stream(call, answer)
        return Reply(chunks, EVENTS_TYPE, answer.input_tokens, answer.output_tokens)
    body = _message(call) | {
        "content": [_block(call, answer)],
        "stop_reason": _stop_reason(answer),
        "usage": _usage(call, answer) | {"output_tokens": answer.output_tokens},
    }
    return Reply.whole(body, answer.input_tokens, answer.output_tokens)


def _read(call: Call) -> Question:
    body = call.body
    if not call.headers.get("anthropic-version"):
        raise InvalidInput("anthropic-version: header is required")
    for name in ("model", "max_tokens", "messages"):
        if body.get(name) is None:
            raise InvalidInput(f"{name}: Field required", param=name)
    if not body["messages"]:
        raise InvalidInput("messages: at least one message is required", param="messages")
    refuse_unknown_model(call, f"model: {call.model}")
    tool, schema = _forced_tool(call)
    question = Question(
        model=call.model,
        prompt=join_text(body.get("system"), body["messages"]),
        max_tokens=body["max_tokens"],
        schema=schema if tool else _wanted_schema(call),
        tool=tool,
    )
    refuse_long_prompt(question, _TOO_LONG)
    return question


def _wanted_schema(call: Call) -> Schema | None:
    """Structured output, under its beta name and its later one."""
    config = call.body.get("output_config") or {}
    wanted = call.body.get("output_format") or config.get("format") or {}
    schema: Schema | None = wanted.get("schema")
    return schema


def _forced_tool(call: Call) -> tuple[str | None, Schema | None]:
    choice = call.body.get("tool_choice") or {}
    named = choice.get("name", call.tool)
    for tool in call.body.get("tools") or ():
        if tool.get("name") == named or choice.get("type") == "any":
            return tool["name"], tool.get("input_schema") or {"type": "object"}
    return None, None


def _message(call: Call) -> Json:
    return {
        "id": f"msg_{call.id}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(call: Call, answer: Answer) -> Json:
    if not answer.tool:
        return {"type": "text", "text": answer.text}
    return _tool_use(call, answer) | {"input": _arguments(answer)}


def _tool_use(call: Call, answer: Answer) -> Json:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": answer.tool, "input": {}}


def _arguments(answer: Answer) -> Json:
    """Arguments that `max_tokens` cut short are no JSON; the real service sends what it has."""
    arguments: Json = {} if answer.truncated else orjson.loads(answer.text)
    return arguments


def _stop_reason(answer: Answer) -> str:
    if answer.truncated:
        return "max_tokens"
    return "tool_use" if answer.tool else "end_turn"


def _usage(call: Call, answer: Answer) -> Json:
    """Cached tokens are read only where the caller marked something with `cache_control`."""
    asked = "cache_control" in str(call.body) if answer.cached_tokens else False
    cached = answer.cached_tokens if asked else 0
    return {
        "input_tokens": answer.input_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": 1,
        "service_tier": "standard",
    }


def _stream(call: Call, answer: Answer) -> list[bytes]:
    start = _message(call) | {"usage": _usage(call, answer)}
    block = _tool_use(call, answer) if answer.tool else {"type": "text", "text": ""}
    end = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    events: list[Json] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": _delta(answer, piece)}
            for piece in split_text(answer.text)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": end,
            "usage": {"output_tokens": answer.output_tokens},
        },
        {"type": "message_stop"},
    ]
    return [format_event(event, event["type"]) for event in events]


def _delta(answer: Answer, piece: str) -> Json:
    if answer.tool:
        return {"type": "input_json_delta", "partial_json": piece}
    return {"type": "text_delta", "text": piece}


def reply_models(_call: Call) -> Reply:
    """GET /v1/models."""
    data = [
        {"type": "model", "id": model, "display_name": model, "created_at": "2026-01-01T00:00:00Z"}
        for model in _MODELS
    ]
    return Reply.whole(
        {"data": data, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]},
        input_tokens=0,
    )


_ERRORS = {
    400: ("invalid_request_error", "Invalid request."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: (
        "rate_limit_error",
        "This request would exceed your account's rate limit. Please try again later.",
    ),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    529: ("overloaded_error", "Overloaded"),
}


def refuse(fault: Fault) -> Refusal:
    """`{type: error, error: {type, message}}`, and on 429 the `anthropic-ratelimit-*` headers."""
    default = ("api_error", "Internal server error") if fault.status >= 500 else _ERRORS[400]
    kind, message = _ERRORS.get(fault.status, default)
    error = {"type": kind, "message": fault.message or message}
    body = {"type": "error", "error": error, "request_id": f"req_{fault.call_id}"}
    return Refusal(body, _limit_headers(fault))


def _limit_headers(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    if fault.status == 429:
        reset = datetime.now(UTC) + timedelta(seconds=fault.retry_after_s or 0)
        for kind, limit in (("requests", _REQUEST_LIMIT), ("tokens", _TOKEN_LIMIT)):
            headers |= {
                f"anthropic-ratelimit-{kind}-limit": str(limit),
                f"anthropic-ratelimit-{kind}-remaining": str(fault.left),
                f"anthropic-ratelimit-{kind}-reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}",
            }
    return headers


PLAYED = (
    Provider(
        name="anthropic",
        shape="anthropic",
        endpoints={"/v1/messages": Endpoint("messages", reply_messages)},
        listings={"/v1/models": Endpoint("models", reply_models)},
        authorize=authorize,
        refuse=refuse,
        request_id_header="request-id",
    ),
)
