"""What a call may cost is reckoned before it is made: never less than what is then sent."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.job import ClaimedJob, Kind, new_id
from factory.domain.message import Message, Params, Role
from factory.kinds.completion.run import call_size
from factory.llm.catalog import load_catalog
from factory.llm.provider import Wire

CATALOG = load_catalog("")
MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash")
TREE: dict[str, Any] = {
    "$defs": {
        "Node": {
            "type": "object",
            "description": "A node of the tree, with what is below it. " * 4,
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
        }
    },
    "type": "object",
    "properties": {name: {"$ref": "#/$defs/Node"} for name in ("left", "middle", "right")},
}
TEXTS = ("Hi.", "讲一个很长的故事。" * 30, '{"a": [1, 2, {"b": "\\n"}]}' * 20, "\n\t" * 50)


def _job(text: str, schema: Any) -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        project_id=new_id(),
        kind=Kind.COMPLETION,
        lane="openai.normal",
        provider="openai",
        model=MODELS[0],
        attempt=1,
        max_attempts=3,
        deferrals=0,
        lease_token=7,
        seconds_left=None,
        max_cost_micros=1,
        spent_micros=0,
        input={"messages": [{"role": "user", "content": text}]},
        params={"json_schema": schema} if schema else {},
        fallbacks=(),
        webhook_url=None,
        traceparent=None,
        steps={},
    )


@pytest.mark.parametrize("schema", [None, TREE], ids=["text", "schema"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", MODELS)
def test_an_input_is_reckoned_at_no_fewer_tokens_than_it_has_bytes(
    model: str, text: str, schema: Any
) -> None:
    wire = Wire(CATALOG.find(model), "http://127.0.0.1")
    params = Params(json_schema=schema, max_tokens=10)
    sent = wire.request([Message(Role.USER, text)], params, "key")
    around = wire.request([Message(Role.USER, "-")], Params(max_tokens=10), "key")
    assert call_size(_job(text, schema)).input_tokens >= len(text.encode())
    # JSON escapes are the wire's, and no tokens.
    escapes = text.count("\n") + text.count("\t") + text.count('"') + text.count("\\")
    content = len(sent.body) - len(around.body) - escapes
    assert call_size(_job(text, schema)).input_tokens >= content
