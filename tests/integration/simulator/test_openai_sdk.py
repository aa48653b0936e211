"""The official OpenAI client takes the simulator for the real thing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from factory.simulator import HostedSimulator

ASK = [{"role": "user", "content": "What is a queue?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"term": {"type": "string"}},
            "required": ["term"],
        },
    },
}


@pytest.fixture
def client(simulator: HostedSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key="k", base_url=f"{simulator.url}/openai/v1", max_retries=0
    ) as connected:
        yield connected


def test_a_chat_is_answered(client: openai.OpenAI):
    chat = client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert "not a model" in chat.choices[0].message.content
    assert chat.choices[0].finish_reason == "stop"
    assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens


def test_a_stream_says_the_same_in_pieces_and_counts_its_tokens(client: openai.OpenAI):
    asked = {"model": "gpt-4o", "messages": ASK, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(**asked, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "not a model" in text
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == -(-len(text) // 4)


def test_a_schema_is_satisfied(client: openai.OpenAI):
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}}
    chat = client.chat.completions.create(model="gpt-4o", messages=ASK, response_format=wanted)
    assert json.loads(chat.choices[0].message.content)["mood"] in ("good", "bad")


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "look_up"}}]
)
def test_a_forced_tool_is_called(client: openai.OpenAI, choice: str):
    chat = client.chat.completions.create(
        model="gpt-4o", messages=ASK, tools=[TOOL], tool_choice=choice
    )
    call = chat.choices[0].message.tool_calls[0]
    assert call.function.name == "look_up"
    assert json.loads(call.function.arguments)["term"]
    assert chat.choices[0].finish_reason == "tool_calls"


def test_a_script_can_call_a_tool_once_and_then_answer(client: openai.OpenAI):
    asked = {
        "model": "gpt-4o",
        "messages": ASK,
        "tools": [TOOL],
        "extra_headers": {"x-simulate": "tool=look_up times=1", "x-factory-job": "tool-job"},
    }
    first, second = (client.chat.completions.create(**asked) for _ in range(2))
    assert first.choices[0].message.tool_calls[0].function.name == "look_up"
    assert second.choices[0].message.tool_calls is None


def test_a_streamed_tool_call_arrives_whole(client: openai.OpenAI):
    asked = {"model": "gpt-4o", "messages": ASK, "tools": [TOOL], "tool_choice": "required"}
    with client.chat.completions.stream(**asked) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments)["term"]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_the_same_in_both_encodings(client: openai.OpenAI, encoding: str):
    made = client.embeddings.create(
        model="text-embedding-3-small", input=["tea", "coffee"], encoding_format=encoding
    )
    default = client.embeddings.create(model="text-embedding-3-small", input="coffee")
    assert made.usage.prompt_tokens == 3
    if encoding == "float":
        assert made.data[1].embedding == pytest.approx(default.data[0].embedding, abs=1e-6)
    assert len(default.data[0].embedding) == 1536


def test_a_response_is_answered(client: openai.OpenAI):
    response = client.responses.create(model="gpt-4o", input="What is a queue?", instructions="Be.")
    assert response.status == "completed"
    assert "not a model" in response.output_text
    assert response.instructions == "Be."


def test_models_are_listed(client: openai.OpenAI):
    assert "gpt-4o" in [model.id for model in client.models.list()]


def test_a_wrong_key_an_unknown_model_and_a_rate_limit_raise_their_own_errors(
    client: openai.OpenAI,
):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="invalid").chat.completions.create(model="m", messages=ASK)
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-does-not-exist", messages=ASK)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(
            model="m", messages=ASK, extra_headers={"x-simulate": "status=429 retry_after=3"}
        )
    assert limited.value.response.headers["retry-after"] == "3"
    assert limited.value.code == "rate_limit_exceeded"


def test_too_long_a_prompt_is_refused_as_such(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x" * 600_000}]
        )
    assert refused.value.code == "context_length_exceeded"


def test_a_cut_answer_raises_a_connection_error(client: openai.OpenAI):
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=ASK, extra_headers={"x-simulate": "cut"})


def test_garbage_in_a_stream_cannot_be_read(client: openai.OpenAI):
    stream = client.chat.completions.create(
        model="m", messages=ASK, stream=True, extra_headers={"x-simulate": "garbage"}
    )
    with pytest.raises(json.JSONDecodeError):
        list(stream)
