"""What chat completions and responses ask for in almost the same words."""

from __future__ import annotations

from factory.simulator.answer import JSON_OBJECT
from factory.simulator.provider import Call, Json
from factory.simulator.schema import Schema

TOO_LONG = (
    "This model's maximum context length is {limit} tokens. However, your messages resulted in "
    "{tokens} tokens. Please reduce the length of the messages."
)


def read_schema(wanted: Json) -> Schema | None:
    """Of a chat's `response_format` (schema nested) or a response's `text.format` (schema flat)."""
    if wanted.get("type") == "json_schema":
        schema: Schema = (wanted.get("json_schema") or wanted).get("schema", JSON_OBJECT)
        return schema
    return JSON_OBJECT if wanted.get("type") == "json_object" else None


def read_forced_tool(call: Call) -> tuple[str | None, Schema | None]:
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
