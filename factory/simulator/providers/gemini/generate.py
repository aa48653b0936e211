"""generateContent, whole and streamed. https://ai.google.dev/api/generate-content"""

from __future__ import annotations

import orjson

from factory.errors import InvalidInput
from factory.simulator.answer import (
    JSON_OBJECT,
    Answer,
    Question,
    answer_question,
    join_text,
    split_text,
)
from factory.simulator.provider import (
    EVENTS_TYPE,
    Call,
    Json,
    Reply,
    format_event,
    refuse_long_prompt,
)
from factory.simulator.providers.gemini.faults import refuse_unknown
from factory.simulator.providers.gemini.field import get_field
from factory.simulator.schema import Schema

_TOO_LONG = (
    "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit})."
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
    refuse_unknown(call, "generateContent")
    config = get_field(call.body, "generationConfig") or {}
    tool, schema = _forced_tool(call)
    question = Question(
        model=call.model,
        prompt=join_text(get_field(call.body, "systemInstruction"), contents),
        max_tokens=get_field(config, "maxOutputTokens"),
        schema=schema if tool else _wanted_schema(config),
        tool=tool,
    )
    refuse_long_prompt(question, _TOO_LONG)
    return question


def _wanted_schema(config: Json) -> Schema | None:
    schema: Schema | None = get_field(config, "responseJsonSchema") or get_field(
        config, "responseSchema"
    )
    if schema is None and get_field(config, "responseMimeType") == "application/json":
        return JSON_OBJECT
    return schema


def _forced_tool(call: Call) -> tuple[str | None, Schema | None]:
    config = get_field(get_field(call.body, "toolConfig") or {}, "functionCallingConfig") or {}
    allowed = get_field(config, "allowedFunctionNames") or ()
    forced = config.get("mode") == "ANY"
    for tool in call.body.get("tools") or ():
        for function in get_field(tool, "functionDeclarations") or ():
            name = function["name"]
            if name == call.tool or (forced and (not allowed or name in allowed)):
                schema = get_field(function, "parametersJsonSchema") or function.get("parameters")
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
