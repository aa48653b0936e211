"""Responses, whole ones only. https://platform.openai.com/docs/api-reference/responses"""

from __future__ import annotations

import time

from factory.errors import InvalidInput
from factory.simulator.answer import Answer, Question, answer_question, join_text
from factory.simulator.provider import Call, Json, Reply, refuse_long_prompt
from factory.simulator.providers.openai.faults import refuse_unknown, require
from factory.simulator.providers.openai.format import TOO_LONG, read_forced_tool, read_schema

_UNSET = (
    "error",
    "incomplete_details",
    "max_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
)
_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
"""What a response repeats of its request, and the value when that left it out."""


def reply_response(call: Call) -> Reply:
    """POST /v1/responses."""
    answer = answer_question(_read(call), call.digest)
    now = int(time.time())
    echoed = {name: call.body.get(name) or value for name, value in _ECHOED.items()}
    body: Json = {
        "id": f"resp_{call.id}",
        "object": "response",
        "created_at": now,
        "completed_at": now,
        "status": "incomplete" if answer.truncated else "completed",
        "background": False,
        "model": call.model,
        "output": [_item(call, answer)],
        "service_tier": "default",
        "usage": _usage(answer),
    }
    if answer.truncated:
        body["incomplete_details"] = {"reason": "max_output_tokens"}
    unset = dict.fromkeys(_UNSET)
    return Reply.whole(unset | echoed | body, answer.input_tokens, answer.output_tokens)


def _read(call: Call) -> Question:
    body = call.body
    require(call, "model")
    require(call, "input")
    refuse_unknown(call)
    if body.get("stream"):
        raise InvalidInput("The simulator does not stream responses.", param="stream")
    tool, schema = read_forced_tool(call)
    wanted = (body.get("text") or {}).get("format") or {}
    question = Question(
        model=call.model,
        prompt=join_text(body.get("instructions"), body["input"]),
        max_tokens=body.get("max_output_tokens"),
        schema=schema if tool else read_schema(wanted),
        tool=tool,
    )
    refuse_long_prompt(question, TOO_LONG)
    return question


def _item(call: Call, answer: Answer) -> Json:
    status = "incomplete" if answer.truncated else "completed"
    if answer.tool:
        return {
            "id": f"fc_{call.id}",
            "type": "function_call",
            "status": status,
            "call_id": f"call_{call.id}",
            "name": answer.tool,
            "arguments": answer.text,
        }
    text = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{call.id}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [text],
    }


def _usage(answer: Answer) -> Json:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
