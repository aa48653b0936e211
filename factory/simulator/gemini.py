"""Google Gemini's wire format: generateContent and embedContent.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from factory.errors import Forbidden, InvalidInput
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
    "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit})."
)
_MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001")
_DIMENSIONS = {"gemini-embedding-001": 3072}
_RPC = "type.googleapis.com/google.rpc."


def authorize(call: Call) -> None:
    """An `x-goog-api-key` header or a `key` in the query; 403 and 400 are what Google answers."""
    key = call.headers.get("x-goog-api-key") or call.query.get("key", "")
    if not key:
        raise Forbidden(
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API."
        )
    if is_wrong_key(key):
        raise InvalidInput(
            "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID"
        )


def reply_generate(call: Call) -> Reply:
    """POST models/{model}:generateContent."""
    answer = answer_question(_read(call), call.digest)
    body = _response(call, [_part(answer)], answer, last=True)
    return Reply.whole(body, answer.input_tokens, answer.output_tokens)


def reply_stream(call: Call) -> Reply:
    """POST models/{model}:streamGenerateContent?alt=sse. A function call comes in one piece."""
    answer = answer_question(_read(call), call.digest)
    pieces = [_part(answer)] if answer.tool else [{"text": p} for p in split_text(answer.text)]
    events = [
        format_event(_response(call, [piece], answer, last=number == len(pieces)))
        for number, piece in enumerate(pieces, 1)
    ]
    return Reply(events, EVENTS_TYPE, answer.input_tokens, answer.output_tokens)


def _read(call: Call) -> Question:
    contents = call.body.get("contents")
    if not contents:
        raise InvalidInput(
            "* GenerateContentRequest.contents: contents is not specified\n", param="contents"
        )
    _refuse_unknown(call, "generateContent")
    config = _get(call.body, "generationConfig") or {}
    tool, schema = _forced_tool(call)
    question = Question(
        model=call.model,
        prompt=join_text(_get(call.body, "systemInstruction"), contents),
        max_tokens=_get(config, "maxOutputTokens"),
        schema=schema if tool else _wanted_schema(config),
        tool=tool,
    )
    refuse_long_prompt(question, _TOO_LONG)
    return question


def _get(message: Any, name: str) -> Any:
    """A field under its camelCase or its snake_case name; Google's JSON accepts both."""
    snake = re.sub(r"[A-Z]", lambda letter: f"_{letter.group().lower()}", name)
    return message.get(name, message.get(snake))


def _wanted_schema(config: Json) -> Schema | None:
    schema: Schema | None = _get(config, "responseJsonSchema") or _get(config, "responseSchema")
    if schema is None and _get(config, "responseMimeType") == "application/json":
        return JSON_OBJECT
    return schema


def _forced_tool(call: Call) -> tuple[str | None, Schema | None]:
    config = _get(_get(call.body, "toolConfig") or {}, "functionCallingConfig") or {}
    allowed = _get(config, "allowedFunctionNames") or ()
    forced = config.get("mode") == "ANY"
    for tool in call.body.get("tools") or ():
        for function in _get(tool, "functionDeclarations") or ():
            name = function["name"]
            if name == call.tool or (forced and (not allowed or name in allowed)):
                schema = _get(function, "parametersJsonSchema") or function.get("parameters")
                return name, schema or {"type": "object"}
    return None, None


def _part(answer: Answer) -> Json:
    if not answer.tool:
        return {"text": answer.text}
    arguments = {} if answer.truncated else orjson.loads(answer.text)
    return {"functionCall": {"name": answer.tool, "args": arguments}}


def _response(call: Call, parts: list[Json], answer: Answer, *, last: bool) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "MAX_TOKENS" if answer.truncated else "STOP"
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer),
        "modelVersion": call.model,
        "responseId": call.id,
    }


def _usage(answer: Answer) -> Json:
    usage: Json = {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": answer.output_tokens,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
    }
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    return usage


def reply_embed(call: Call) -> Reply:
    """POST models/{model}:embedContent."""
    _refuse_unknown(call, "embedContent")
    text, vector = _embed(call, call.body)
    return Reply.whole({"embedding": {"values": vector}}, count_tokens(text))


def reply_embed_batch(call: Call) -> Reply:
    """POST models/{model}:batchEmbedContents."""
    _refuse_unknown(call, "batchEmbedContents")
    pairs = [_embed(call, request) for request in call.body.get("requests") or ()]
    if not pairs:
        raise InvalidInput(
            "* BatchEmbedContentsRequest.requests: requests is not specified\n", param="requests"
        )
    tokens = sum(count_tokens(text) for text, _ in pairs)
    return Reply.whole({"embeddings": [{"values": vector} for _, vector in pairs]}, tokens)


def _embed(call: Call, request: Any) -> tuple[str, list[float]]:
    if not request.get("content"):
        raise InvalidInput(
            "* EmbedContentRequest.content: content is not specified\n", param="content"
        )
    text = join_text(request["content"])
    dimensions = _get(request, "outputDimensionality") or _DIMENSIONS.get(call.model, 768)
    return text, embed_text(text, dimensions)


def list_models() -> Json:
    """GET models."""
    methods = ["generateContent", "embedContent"]
    return {
        "models": [
            {"name": f"models/{model}", "supportedGenerationMethods": methods} for model in _MODELS
        ]
    }


def _refuse_unknown(call: Call, method: str) -> None:
    refuse_unknown_model(
        call,
        f"models/{call.model} is not found for API version v1beta, or is not supported for "
        f"{method}. Call ListModels to see the list of available models and their supported "
        "methods.",
    )


_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
    ),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}


def refuse(fault: Fault) -> Refusal:
    """`{error: {code, message, status, details}}`; a wait stands in the details, not in a header."""
    default = _ERRORS[500] if fault.status >= 500 else _ERRORS[400]
    status, message = _ERRORS.get(fault.status, default)
    error: Json = {
        "code": fault.status,
        "message": fault.message or message,
        "status": status,
    }
    if details := _details(fault):
        error["details"] = details
    return Refusal({"error": error})


def _details(fault: Fault) -> list[Json]:
    details: list[Json] = []
    if fault.code == "API_KEY_INVALID":
        info = {"reason": fault.code, "domain": "googleapis.com"}
        details.append({"@type": f"{_RPC}ErrorInfo", **info})
    if fault.status == 429:
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
        }
        details.append({"@type": f"{_RPC}QuotaFailure", "violations": [quota]})
    if fault.retry_after_s is not None:
        delay = f"{fault.retry_after_s:g}s"
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": delay})
    return details


_METHODS = {
    "generateContent": Endpoint("generate", reply_generate),
    "streamGenerateContent": Endpoint("generate", reply_stream),
    "embedContent": Endpoint("embeddings", reply_embed),
    "batchEmbedContents": Endpoint("embeddings", reply_embed_batch),
}
_VERSIONS = ("/v1beta", "/v1", "/v1alpha", "")
"""Clients differ in whether the base URL that they are given holds the version."""

GEMINI = Provider(
    name="gemini",
    endpoints={
        f"{version}/models/{{model}}:{method}": endpoint
        for version in _VERSIONS
        for method, endpoint in _METHODS.items()
    },
    listings={f"{version}/models": list_models for version in _VERSIONS},
    authorize=authorize,
    refuse=refuse,
    request_id_header="x-request-id",
)
