"""Ollama's wire format: chat, generate, embed. https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from factory.errors import InvalidInput
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
    Call,
    Endpoint,
    Fault,
    Json,
    Provider,
    Refusal,
    Reply,
    refuse_unknown_model,
)
from factory.simulator.schema import Schema
from factory.simulator.vector import embed_text

_LINES_TYPE = "application/x-ndjson"
_MODELS = ("llama3.2:latest", "gemma3:270m", "nomic-embed-text:latest")
_DIMENSIONS = {"all-minilm": 384, "mxbai-embed-large": 1024}
_NANOSECONDS_PER_TOKEN = 1_000_000


def authorize(_call: Call) -> None:
    """Ollama lets everybody in."""


def reply_chat(call: Call) -> Reply:
    """POST /api/chat."""
    _check_model(call)
    if not call.body.get("messages"):
        return _reply_load(call, {"message": {"role": "assistant", "content": ""}})
    question = _question(call, join_text(call.body["messages"]))
    return _reply(call, question, _chat_piece)


def reply_generate(call: Call) -> Reply:
    """POST /api/generate."""
    _check_model(call)
    if not call.body.get("prompt"):
        return _reply_load(call, {"response": ""})
    prompt = join_text(call.body.get("system"), call.body["prompt"])
    return _reply(call, _question(call, prompt), lambda text, _tool: {"response": text})


def _check_model(call: Call) -> None:
    if not call.model:
        raise InvalidInput("model is required", param="model")
    refuse_unknown_model(call, f"model '{call.model}' not found")


def _question(call: Call, prompt: str) -> Question:
    """Too long a prompt is cut by the real server, and never refused."""
    tool, schema = _called_tool(call)
    return Question(
        model=call.model,
        prompt=prompt,
        max_tokens=_limit(call),
        schema=schema if tool else _wanted_schema(call),
        tool=tool,
    )


def _limit(call: Call) -> int | None:
    """`num_predict`; negative numbers mean no limit."""
    limit: int | None = (call.body.get("options") or {}).get("num_predict")
    return None if limit is None or limit < 0 else limit


def _wanted_schema(call: Call) -> Schema | None:
    wanted = call.body.get("format")
    if wanted == "json":
        return JSON_OBJECT
    return wanted if isinstance(wanted, dict) else None


def _called_tool(call: Call) -> tuple[str | None, Schema | None]:
    """Ollama has no `tool_choice`: a tool is called only where a script says so."""
    for tool in call.body.get("tools") or ():
        if tool["function"]["name"] == call.tool:
            return call.tool, tool["function"].get("parameters") or {"type": "object"}
    return None, None


def _chat_piece(text: str, tool: str | None) -> Json:
    message: Json = {"role": "assistant", "content": text}
    if tool is not None and text:
        function = {"name": tool, "arguments": orjson.loads(text)}
        message |= {"content": "", "tool_calls": [{"function": function}]}
    return {"message": message}


def _reply(call: Call, question: Question, shape: Callable[[str, str | None], Json]) -> Reply:
    """One object, or one a line; the real server streams unless `stream` is false."""
    answer = answer_question(question, call.digest)
    if call.body.get("stream", True):
        pieces = [answer.text] if answer.tool else split_text(answer.text)
        bodies = [_head(call) | shape(piece, answer.tool) | {"done": False} for piece in pieces]
        bodies.append(_head(call) | shape("", answer.tool) | _summary(answer))
        lines = [orjson.dumps(body) + b"\n" for body in bodies]
        return Reply(lines, _LINES_TYPE, answer.input_tokens, answer.output_tokens)
    body = _head(call) | shape(answer.text, answer.tool) | _summary(answer)
    return Reply.whole(body, answer.input_tokens, answer.output_tokens)


def _reply_load(call: Call, piece: Json) -> Reply:
    """Without a prompt the real server only loads the model."""
    return Reply.whole(_head(call) | piece | {"done": True, "done_reason": "load"}, 0)


def _head(call: Call) -> Json:
    return {"model": call.model, "created_at": datetime.now(UTC)}


def _summary(answer: Answer) -> Json:
    """Durations are in nanoseconds."""
    read_ns = answer.input_tokens * _NANOSECONDS_PER_TOKEN
    write_ns = answer.output_tokens * _NANOSECONDS_PER_TOKEN
    return {
        "done": True,
        "done_reason": "length" if answer.truncated else "stop",
        "total_duration": read_ns + write_ns,
        "load_duration": 0,
        "prompt_eval_count": answer.input_tokens,
        "prompt_eval_duration": read_ns,
        "eval_count": answer.output_tokens,
        "eval_duration": write_ns,
    }


def reply_embed(call: Call) -> Reply:
    """POST /api/embed, of one text or several."""
    _check_model(call)
    wanted = call.body.get("input") or []
    texts = [wanted] if isinstance(wanted, str) else wanted
    tokens = sum(count_tokens(text) for text in texts)
    body = {
        "model": call.model,
        "embeddings": [embed_text(text, _dimensions(call)) for text in texts],
        "total_duration": tokens * _NANOSECONDS_PER_TOKEN,
        "load_duration": 0,
        "prompt_eval_count": tokens,
    }
    return Reply.whole(body, tokens)


def reply_embeddings(call: Call) -> Reply:
    """POST /api/embeddings, the older form: one text."""
    _check_model(call)
    prompt = call.body.get("prompt") or ""
    body = {"embedding": embed_text(prompt, _dimensions(call))}
    return Reply.whole(body, count_tokens(prompt))


def _dimensions(call: Call) -> int:
    return _DIMENSIONS.get(call.model.partition(":")[0], 768)


def reply_models(_call: Call) -> Reply:
    """GET /api/tags."""
    details = {"format": "gguf", "family": "simulated", "parameter_size": "0B"}
    return Reply.whole(
        {
            "models": [
                {
                    "name": model,
                    "model": model,
                    "modified_at": "2026-01-01T00:00:00Z",
                    "size": 0,
                    "digest": "0" * 64,
                    "details": details,
                }
                for model in _MODELS
            ]
        },
        input_tokens=0,
    )


_ERRORS = {
    429: "too many requests",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


def refuse(fault: Fault) -> Refusal:
    """`{error: <text>}`."""
    message = fault.message or _ERRORS.get(fault.status, "an internal error occurred")
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    return Refusal({"error": message}, headers)


PLAYED = (
    Provider(
        name="ollama",
        shape="ollama",
        endpoints={
            "/api/chat": Endpoint("chat", reply_chat),
            "/api/generate": Endpoint("generate", reply_generate),
            "/api/embed": Endpoint("embeddings", reply_embed),
            "/api/embeddings": Endpoint("embeddings", reply_embeddings),
        },
        listings={"/api/tags": Endpoint("models", reply_models)},
        authorize=authorize,
        refuse=refuse,
        request_id_header="x-request-id",
    ),
)
