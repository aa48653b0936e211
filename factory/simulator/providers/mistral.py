"""Mistral's wire format: OpenAI's, with errors of its own and no patience for fields that it does not have.

https://docs.mistral.ai/api
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from factory.errors import InvalidInput, Unauthorized
from factory.simulator.answer import CONTEXT_TOKENS
from factory.simulator.provider import (
    Call,
    Endpoint,
    Fault,
    Json,
    Provider,
    Refusal,
    Reply,
    is_wrong_key,
)
from factory.simulator.providers.openai.chat import reply_chat as reply_as_openai
from factory.simulator.providers.openai.embeddings import reply_embeddings as embed_as_openai

_MODELS = ("mistral-large-latest", "mistral-small-latest", "mistral-embed")
_CHAT_FIELDS = frozenset(
    [
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "stream",
        "stop",
        "random_seed",
        "response_format",
        "tools",
        "tool_choice",
        "presence_penalty",
        "frequency_penalty",
        "n",
        "prediction",
        "parallel_tool_calls",
        "prompt_mode",
        "safe_prompt",
        "reasoning_effort",
        "metadata",
        "guardrails",
    ]
)
_EMBEDDING_FIELDS = frozenset(
    ["model", "input", "output_dimension", "output_dtype", "encoding_format", "metadata"]
)
_NOT_OPENAIS = ("service_tier", "system_fingerprint")
_DIMENSIONS = 1024
_EXTRA = "extra_forbidden"


def authorize(call: Call) -> None:
    """A bearer token."""
    key = call.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not key or is_wrong_key(key):
        raise Unauthorized("Unauthorized")


def reply_chat(call: Call) -> Reply:
    """POST /v1/chat/completions."""
    _forbid_others(call, _CHAT_FIELDS)
    reply = reply_as_openai(call)
    if reply.streamed:
        return reply
    body = orjson.loads(reply.chunks[0])
    own = {name: part for name, part in body.items() if name not in _NOT_OPENAIS}
    del own["choices"][0]["message"]["refusal"], own["choices"][0]["logprobs"]
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    own["usage"] = {name: own["usage"][name] for name in counts}
    return replace(reply, chunks=[orjson.dumps(own)])


def reply_embeddings(call: Call) -> Reply:
    """POST /v1/embeddings."""
    _forbid_others(call, _EMBEDDING_FIELDS)
    dimensions = call.body.get("output_dimension") or _DIMENSIONS
    return embed_as_openai(replace(call, body={**call.body, "dimensions": dimensions}))


def _forbid_others(call: Call, fields: frozenset[str]) -> None:
    for name in call.body.keys() - fields:
        raise InvalidInput("Extra inputs are not permitted", param=name, code=_EXTRA)


def reply_models(_call: Call) -> Reply:
    """GET /v1/models."""
    entry = {"object": "model", "created": 1_700_000_000, "owned_by": "factory-simulator"}
    return Reply.whole(
        {"object": "list", "data": [{"id": model} | entry for model in _MODELS]}, input_tokens=0
    )


_ERRORS = {
    400: ("invalid_request_error", None, "The request failed."),
    429: ("rate_limited", "1300", "Rate limit exceeded"),
    500: ("internal_server_error", "1000", "Service unavailable."),
    503: ("service_tier_capacity_exceeded", "3505", "Service tier capacity exceeded."),
}


def refuse(fault: Fault) -> Refusal:
    """`{object: error, message, type, param, code}`; a field that is too much is a list of findings, and 422."""
    if fault.status == 401:
        return Refusal({"message": fault.message or "Unauthorized", "request_id": fault.call_id})
    if fault.code == _EXTRA:
        finding = {"type": _EXTRA, "loc": ["body", fault.param], "msg": fault.message}
        return Refusal(_error({"detail": [finding]}, "invalid_request_error", None), status=422)
    if fault.code == "model_not_found":
        return Refusal(_error("Invalid model", "invalid_model", "1500"), status=400)
    kind, code, message = _ERRORS.get(fault.status, _ERRORS[500 if fault.status >= 500 else 400])
    message = fault.message or message
    if fault.code == "context_length_exceeded":
        message = f"Prompt is too large for model with {CONTEXT_TOKENS} maximum context length"
        code = "3051"
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    return Refusal(_error(message, kind, code), headers)


def _error(message: str | Json, kind: str, code: str | None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


PLAYED = (
    Provider(
        name="mistral",
        shape="openai",
        endpoints={
            "/v1/chat/completions": Endpoint("chat", reply_chat),
            "/v1/embeddings": Endpoint("embeddings", reply_embeddings),
        },
        listings={"/v1/models": Endpoint("models", reply_models)},
        authorize=authorize,
        refuse=refuse,
        request_id_header="mistral-correlation-id",
    ),
)
