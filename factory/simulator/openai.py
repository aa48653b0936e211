"""OpenAI's wire format: chat completions, responses, embeddings.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import time
from base64 import b64encode
from struct import pack
from typing import Any

from factory.errors import InvalidInput, Unauthorized
from factory.simulator.answer import (
    JSON_OBJECT,
    Answer,
    Question,
    answer_question,
    count_tokens,
    join_text,
    split_text,
)
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
from factory.simulator.vector import embed_text

_TOO_LONG = (
    "This model's maximum context length is {limit} tokens. However, your messages resulted in "
    "{tokens} tokens. Please reduce the length of the messages."
)
_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "text-embedding-3-small")
_DIMENSIONS = {"text-embedding-3-large": 3072}
_RATE_LIMIT_PER_MINUTE = 500
_TOKEN_LIMIT_PER_MINUTE = 200_000


def authorize(call: Call) -> None:
    """A bearer token."""
    key = call.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not key:
        raise Unauthorized(
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    if is_wrong_key(key):
        raise Unauthorized(
            f"Incorrect API key provided: {key[:3]}***. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def reply_chat(call: Call) -> Reply:
    """POST /v1/chat/completions."""
    question = _read_chat(call)
    answer = answer_question(question, call.digest)
    if call.body.get("stream"):
        chunks = _stream_chat(call, answer)
        return Reply(chunks, EVENTS_TYPE, answer.input_tokens, answer.output_tokens)
    body = _chat_object(call, "chat.completion") | {
        "choices": [
            {
                "index": 0,
                "message": _message(call, answer),
                "logprobs": None,
                "finish_reason": _finish_reason(answer),
            }
        ],
        "usage": _usage(answer),
    }
    return Reply.whole(body, answer.input_tokens, answer.output_tokens)


def _read_chat(call: Call) -> Question:
    body = call.body
    _require(call, "model")
    _require(call, "messages")
    if not isinstance(body["messages"], list) or not body["messages"]:
        raise InvalidInput(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="messages",
            code="empty_array",
        )
    _refuse_unknown(call)
    tool, schema = _forced_tool(call)
    question = Question(
        model=call.model,
        prompt=join_text(body["messages"]),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        schema=schema if tool else _wanted_schema(body.get("response_format") or {}),
        tool=tool,
    )
    refuse_long_prompt(question, _TOO_LONG)
    return question


def _wanted_schema(wanted: Json) -> Schema | None:
    """Of a chat's `response_format` (schema nested) or a response's `text.format` (schema flat)."""
    if wanted.get("type") == "json_schema":
        schema: Schema = (wanted.get("json_schema") or wanted).get("schema", JSON_OBJECT)
        return schema
    return JSON_OBJECT if wanted.get("type") == "json_object" else None


def _forced_tool(call: Call) -> tuple[str | None, Schema | None]:
    """The function to call and its parameters' schema; chat nests it one level, responses do not."""
    functions = [tool.get("function", tool) for tool in call.body.get("tools") or ()]
    choice = call.body.get("tool_choice")
    named = call.tool
    if isinstance(choice, dict):
        named = choice.get("function", choice).get("name")
    for function in functions:
        if function.get("name") == named or choice == "required":
            return function["name"], function.get("parameters") or {"type": "object"}
    return None, None


def _chat_object(call: Call, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{call.id}",
        "object": kind,
        "created": int(time.time()),
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _message(call: Call, answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool:
        message |= {"content": None, "tool_calls": [_tool_call(call, answer)]}
    return message


def _tool_call(call: Call, answer: Answer) -> Json:
    function = {"name": answer.tool, "arguments": answer.text}
    return {"id": f"call_{call.id}", "type": "function", "function": function}


def _finish_reason(answer: Answer) -> str:
    if answer.truncated:
        return "length"
    return "tool_calls" if answer.tool else "stop"


def _usage(answer: Answer) -> Json:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _stream_chat(call: Call, answer: Answer) -> list[bytes]:
    counted = bool((call.body.get("stream_options") or {}).get("include_usage"))
    head = _chat_object(call, "chat.completion.chunk") | ({"usage": None} if counted else {})
    events = [_delta(head, delta) for delta in _deltas(call, answer)]
    events.append(_delta(head, {}, _finish_reason(answer)))
    if counted:
        events.append(format_event(head | {"choices": [], "usage": _usage(answer)}))
    return [*events, b"data: [DONE]\n\n"]


def _deltas(call: Call, answer: Answer) -> list[Json]:
    pieces = split_text(answer.text)
    if not answer.tool:
        first: Json = {"role": "assistant", "content": "", "refusal": None}
        return [first, *({"content": piece} for piece in pieces)]
    opening = _tool_call(call, answer) | {"index": 0}
    opening["function"] = {"name": answer.tool, "arguments": ""}
    arguments = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    first = {"role": "assistant", "content": None, "tool_calls": [opening]}
    return [first, *({"tool_calls": [piece]} for piece in arguments)]


def _delta(head: Json, delta: Json, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return format_event(head | {"choices": [choice]})


def reply_embeddings(call: Call) -> Reply:
    """POST /v1/embeddings, of one text or several, as floats or base64."""
    body = call.body
    _require(call, "model")
    _require(call, "input")
    _refuse_unknown(call)
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    dimensions = body.get("dimensions") or _DIMENSIONS.get(call.model, 1536)
    vectors = [embed_text(str(text), dimensions) for text in texts]
    encode = _encode_base64 if body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(count_tokens(str(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Reply.whole(
        {"object": "list", "data": data, "model": call.model, "usage": usage}, tokens
    )


def _encode_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats."""
    return b64encode(pack(f"<{len(vector)}f", *vector)).decode()


def list_models() -> Json:
    """GET /v1/models."""
    entry = {"object": "model", "created": 1_700_000_000, "owned_by": "factory-simulator"}
    return {"object": "list", "data": [{"id": model} | entry for model in _MODELS]}


def _require(call: Call, name: str) -> None:
    if call.body.get(name) is None:
        raise InvalidInput(
            f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
        )


def _refuse_unknown(call: Call) -> None:
    refuse_unknown_model(
        call, f"The model `{call.model}` does not exist or you do not have access to it."
    )


_ERRORS: dict[int, tuple[str, str | None, str]] = {
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests. Please try again later. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
    ),
    500: (
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def refuse(fault: Fault) -> Refusal:
    """`{error: {message, type, param, code}}`, and on 429 the `x-ratelimit-*` headers."""
    default = "server_error" if fault.status >= 500 else "invalid_request_error"
    kind, code, message = _ERRORS.get(fault.status, (default, None, "The request failed."))
    error: dict[str, Any] = {
        "message": fault.message or message,
        "type": kind,
        "param": fault.param,
        "code": fault.code or code,
    }
    return Refusal({"error": error}, _limit_headers(fault))


def _limit_headers(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
        headers["retry-after-ms"] = f"{fault.retry_after_s * 1000:g}"
    if fault.status == 429:
        headers |= {
            "x-ratelimit-limit-requests": str(_RATE_LIMIT_PER_MINUTE),
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": f"{fault.retry_after_s or 0:g}s",
            "x-ratelimit-limit-tokens": str(_TOKEN_LIMIT_PER_MINUTE),
            "x-ratelimit-remaining-tokens": str(_TOKEN_LIMIT_PER_MINUTE // 2),
            "x-ratelimit-reset-tokens": "30s",
        }
    return headers


OPENAI = Provider(
    name="openai",
    endpoints={
        "/v1/chat/completions": Endpoint("chat", reply_chat),
        "/v1/embeddings": Endpoint("embeddings", reply_embeddings),
    },
    listings={"/v1/models": list_models},
    authorize=authorize,
    refuse=refuse,
    request_id_header="x-request-id",
)
