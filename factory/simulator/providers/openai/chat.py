"""Chat completions. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

import time

from factory.errors import InvalidInput
from factory.simulator.answer import Answer, Question, answer_question, join_text, split_text
from factory.simulator.provider import (
    EVENTS_TYPE,
    Call,
    Json,
    Reply,
    format_event,
    refuse_long_prompt,
)
from factory.simulator.providers.openai.faults import refuse_unknown, require
from factory.simulator.providers.openai.format import TOO_LONG, read_forced_tool, read_schema


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
    require(call, "model")
    require(call, "messages")
    if not isinstance(body["messages"], list) or not body["messages"]:
        raise InvalidInput(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="messages",
            code="empty_array",
        )
    refuse_unknown(call)
    tool, schema = read_forced_tool(call)
    question = Question(
        model=call.model,
        prompt=join_text(body["messages"]),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        schema=schema if tool else read_schema(body.get("response_format") or {}),
        tool=tool,
    )
    refuse_long_prompt(question, TOO_LONG)
    return question


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
