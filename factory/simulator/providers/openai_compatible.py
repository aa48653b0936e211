"""Servers that answer as OpenAI does and fail in ways of their own: vLLM, LM Studio, OpenRouter, Groq.

Their errors are those that people show in public issues.
"""

from __future__ import annotations

import time
from collections.abc import Callable

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
from factory.simulator.providers.openai.chat import reply_chat
from factory.simulator.providers.openai.embeddings import reply_embeddings

_TOO_LONG = "context_length_exceeded"
_WAIT_S = 1.0


def _key(call: Call) -> str:
    return call.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def let_in(call: Call) -> None:
    """Without a key too: a server of one's own mostly wants none."""
    if is_wrong_key(_key(call)):
        raise Unauthorized("Unauthorized")


def authorize(call: Call) -> None:
    """A bearer token."""
    if not _key(call) or is_wrong_key(_key(call)):
        raise Unauthorized("No auth credentials found")


def refuse_as_vllm(fault: Fault) -> Refusal:
    """`{error: {message, type, param, code}}`, where the code is the status. vLLM up to 0.9 had no `error` around it."""
    if fault.status == 401:
        return Refusal({"error": "Unauthorized"})
    kinds = {400: "BadRequestError", 404: "NotFoundError"}
    message = fault.message or "The request failed."
    if fault.code == _TOO_LONG:
        message = (
            f"The prompt is too long to fit into the model (context length {CONTEXT_TOKENS}). "
            "Make sure that `max_model_len` is no smaller than the number of text tokens."
        )
    kind = kinds.get(fault.status, "InternalServerError")
    error = {"message": message, "type": kind, "param": fault.param, "code": fault.status}
    return Refusal({"error": error})


def reply_as_lm_studio(call: Call) -> Reply:
    """Too long a prompt is answered 200. https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2322"""
    try:
        return reply_chat(call)
    except InvalidInput as error:
        if error.code != _TOO_LONG:
            raise
    words = (
        "The number of tokens to keep from the initial prompt is greater than the context length "
        f"(n_keep: {CONTEXT_TOKENS + 1}>= n_ctx: {CONTEXT_TOKENS}). Try to load the model with a "
        "larger context length, or provide a shorter input."
    )
    return Reply.whole({"error": words}, input_tokens=0)


def reply_nowhere(_call: Call) -> Reply:
    """A path that LM Studio does not have is answered 200 as well."""
    words = "Unexpected endpoint or method. (POST /chat/completions)"
    return Reply.whole({"error": words}, input_tokens=0)


def refuse_as_lm_studio(fault: Fault) -> Refusal:
    """`{error: <text>}`, but for a model that is not there."""
    if fault.status != 404:
        return Refusal({"error": fault.message or "Model unloaded."})
    message = "No models loaded. Please load a model in the developer page."
    error = {"message": message, "type": "invalid_request_error", "code": "model_not_found"}
    return Refusal({"error": error | {"param": "model"}})


_OPENROUTER_WORDS = {
    402: "This request requires more credits, or fewer max_tokens. You requested up to 4096 "
    "tokens, but can only afford 1337.",
    403: 'meta-llama/llama requires moderation on OpenAI. Your input was flagged for "violence". '
    "No credits were charged.",
    404: "No endpoints found for this model.",
    429: "Rate limit exceeded: free-models-per-min.",
    503: "No instances available",
}


def refuse_as_openrouter(fault: Fault) -> Refusal:
    """`{error: {message, code, metadata}}`: the code is the status, and `raw` is what the model's provider said."""
    words = _OPENROUTER_WORDS.get(fault.status, "Provider returned error")
    message = fault.message if fault.status == 401 and fault.message else words
    error: Json = {"message": message, "code": fault.status, "metadata": _metadata(fault)}
    return Refusal({"error": error, "user_id": "user_simulated"})


def _metadata(fault: Fault) -> Json:
    if fault.status == 429:
        due_s = time.time() + (fault.retry_after_s or _WAIT_S)
        limits = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"}
        return {"headers": limits | {"X-RateLimit-Reset": str(round(due_s * 1000))}}
    if fault.status in (400, 502):
        said = f"This model's maximum context length is {CONTEXT_TOKENS} tokens."
        raw = {"error": {"message": said if fault.status == 400 else "upstream error"}}
        return {"raw": orjson.dumps(raw).decode(), "provider_name": "Simulated"}
    return {"provider_name": None}


_GROQ_ERRORS = {
    400: (
        "json_validate_failed",
        "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
    ),
    413: (
        "rate_limit_exceeded",
        "Request too large for model `llama` in organization `org` service tier `on_demand` on "
        "tokens per minute (TPM): Limit 6000, Requested 12328, please reduce your message size.",
    ),
    429: (
        "rate_limit_exceeded",
        "Rate limit reached for model `llama` on tokens per minute (TPM): Limit 6000, Used 5034, "
        "Requested 1443. Please try again in 4.77s.",
    ),
    498: ("capacity_exceeded", "Flex tier capacity exceeded. Please try again."),
}


def refuse_as_groq(fault: Fault) -> Refusal:
    """`{error: {message, type, code}}`; a request that no minute has room for is 413, and its code a rate limit's."""
    code, words = _GROQ_ERRORS.get(fault.status, (None, "Internal Server Error"))
    if fault.message is not None:
        code, words = fault.code, fault.message
    kind = "tokens" if code == "rate_limit_exceeded" else "invalid_request_error"
    headers = {}
    if fault.status == 429:
        headers["retry-after"] = f"{fault.retry_after_s or _WAIT_S:g}"
    return Refusal({"error": {"message": words, "type": kind, "code": code}}, headers)


def reply_models(_call: Call) -> Reply:
    """GET /v1/models."""
    entry = {"id": "meta-llama/Llama-3.1-8B-Instruct", "object": "model", "owned_by": "simulator"}
    return Reply.whole({"object": "list", "data": [entry]}, input_tokens=0)


_CHAT = Endpoint("chat", reply_chat)
_EMBEDDINGS = Endpoint("embeddings", reply_embeddings)


def _played(
    name: str,
    refuse: Callable[[Fault], Refusal],
    endpoints: dict[str, Endpoint],
    enter: Callable[[Call], None] = authorize,
) -> Provider:
    listings = {"/v1/models": Endpoint("models", reply_models)}
    return Provider(name, "openai", endpoints, listings, enter, refuse, "x-request-id")


PLAYED = (
    _played(
        "openai-compatible",
        refuse_as_vllm,
        {"/v1/chat/completions": _CHAT, "/v1/embeddings": _EMBEDDINGS},
        let_in,
    ),
    _played(
        "lm-studio",
        refuse_as_lm_studio,
        {
            "/v1/chat/completions": Endpoint("chat", reply_as_lm_studio),
            "/v1/embeddings": _EMBEDDINGS,
            "/chat/completions": Endpoint("chat", reply_nowhere),
        },
        let_in,
    ),
    _played(
        "openrouter",
        refuse_as_openrouter,
        {"/v1/chat/completions": _CHAT, "/v1/embeddings": _EMBEDDINGS},
    ),
    _played("groq", refuse_as_groq, {"/v1/chat/completions": _CHAT}),
)
