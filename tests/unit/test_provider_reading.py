"""What the four shapes of answers say: errors within a 200, and whatever else people have seen."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest

from factory.domain.message import Completion
from factory.domain.money import Price
from factory.errors import (
    ContextTooLong,
    InvalidOutput,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    SchemaUnusable,
)
from factory.llm.answer import parse_answer
from factory.llm.catalog import Model
from factory.llm.openai_shape import fit_schema
from factory.llm.reading import read_body
from factory.llm.saying import read_anthropic, read_gemini, read_ollama, read_openai
from tests.integration.llm import samples

PRICE = Price(Decimal("0.000001"), Decimal("0.000002"), Decimal("0.0000001"))
READERS = {
    "openai": read_openai,
    "anthropic": read_anthropic,
    "gemini": read_gemini,
    "ollama": read_ollama,
}
OBJECT = {"type": "object"}


def read(provider: str, answer: Any) -> Completion:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    model = Model(provider, "model", "chat", PRICE)
    return read_body(model, READERS[provider], body, 5)


def fit(completion: Completion, schema: dict[str, Any]) -> Completion:
    async def parse(text: str) -> Any:
        return parse_answer(text, schema)

    return asyncio.run(fit_schema(completion, parse))


def fail(provider: str, answer: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(provider, answer)
    return caught.value


def message(**changes: Any) -> Any:
    answer = samples.openai()
    answer["choices"][0]["message"] |= changes
    return answer


def candidate(**changes: Any) -> Any:
    answer = samples.gemini()
    answer["candidates"][0] |= changes
    return answer


def without_candidates(feedback: Any) -> Any:
    answer = samples.gemini() | {"promptFeedback": feedback}
    del answer["candidates"]
    return answer


def test_plain_wrong_json_is_worth_another_attempt() -> None:
    with pytest.raises(InvalidOutput) as caught:
        fit(read("openai", samples.openai("{")), OBJECT)
    assert caught.value.retryable


@pytest.mark.parametrize("provider", READERS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow down"}, RateLimited),
        ({"code": "429", "message": "slow down"}, RateLimited),
        ({"type": "rate_limit_error", "message": "slow down"}, RateLimited),
        ({"status": "RESOURCE_EXHAUSTED", "message": "slow down"}, RateLimited),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, RateLimited),
        ({"code": "insufficient_quota", "message": "pay first"}, QuotaExhausted),
        ({"code": 401, "message": "no key"}, ProviderAuthFailed),
        ({"type": "authentication_error", "message": "no key"}, ProviderAuthFailed),
        ({"code": 503, "message": "busy"}, ProviderOverloaded),
        ({"type": "overloaded_error", "message": "Overloaded"}, ProviderOverloaded),
        ({"code": 502, "message": "Provider returned error"}, ProviderUnavailable),
        ({"type": "server_error", "message": "oops"}, ProviderUnavailable),
        ({"code": 408, "message": "too late"}, ProviderTimeout),
        ({"code": 400, "message": "no such field"}, ProviderRefused),
        ({"type": "invalid_request_error", "message": "no such field"}, ProviderRefused),
        ({"code": "context_length_exceeded", "message": "too long"}, ContextTooLong),
        ({"message": "Rate limit reached for requests"}, RateLimited),
        ("too many requests, please wait", RateLimited),
        ("model runner has unexpectedly stopped", ProviderUnavailable),
        ({"code": None}, ProviderUnavailable),
    ],
)
def test_an_error_within_a_200_is_what_it_says(provider: str, error: Any, kind: type) -> None:
    for answer in (
        {"error": error},
        {"type": "error", "error": error},
        {"choices": None, "error": error},
        [{"error": error}],
    ):
        found = fail(provider, answer)
        assert type(found) is kind
        assert found.http_status == 200
        told = error if isinstance(error, str) else error.get("message", "unnamed")
        assert found.message == f"{provider} answered 200 with an error: {told}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": "rate_limit_daily", "message": "Error code: 429"}, RateLimited),
        (
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            ProviderRefused,
        ),
        ({"detail": "Too many requests"}, RateLimited),
        ({"success": False, "message": "oops"}, ProviderUnavailable),
    ],
)
def test_an_error_may_be_all_of_the_answer(answer: Any, kind: type) -> None:
    assert type(fail("openai", answer)) is kind


def test_why_a_model_stopped_that_said_nothing_is_told() -> None:
    error = fail("gemini", candidate(finishReason="MALFORMED_FUNCTION_CALL", content=None))
    assert error.message.endswith("without an answer: it stopped for MALFORMED_FUNCTION_CALL")


def test_an_error_within_a_choice_keeps_what_it_cost() -> None:
    answer = samples.openai(finish="error")
    answer["choices"][0]["error"] = {"code": 502, "message": "upstream"}
    error = fail("openai", answer)
    assert type(error) is ProviderUnavailable
    assert error.completion.cost_micros == 2100 + 2 * 345


@pytest.mark.parametrize("provider", READERS)
@pytest.mark.parametrize(
    ("page", "kind", "words"),
    [
        (b"<html><head><title>Log in</title></head>", ProviderCutOff, "a page of HTML, 'Log in'"),
        (b"\xef\xbb\xbf <!DOCTYPE html><html>", ProviderCutOff, "a page of HTML"),
        (b"<html><title>429 Too Many\nRequests</title>", RateLimited, "429 Too Many Requests"),
        (b"<title>503 Service Unavailable</title>", ProviderOverloaded, "503 Service Unavailable"),
        (b"upstream connect error", ProviderCutOff, "upstream connect error"),
        (b"", ProviderCutOff, "without an answer"),
    ],
)
def test_a_page_is_told_by_its_title(provider: str, page: bytes, kind: type, words: str) -> None:
    error = fail(provider, page)
    assert type(error) is kind
    assert words in error.message


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("openai", samples.openai() | {"choices": []}),
        ("openai", samples.openai() | {"choices": None}),
        ("openai", samples.openai() | {"choices": [{"finish_reason": "stop"}]}),
        ("anthropic", samples.anthropic() | {"content": None}),
        ("gemini", samples.gemini() | {"candidates": []}),
        ("gemini", candidate(content={"role": "model"})),
        ("ollama", samples.ollama() | {"message": None}),
    ],
)
def test_an_answer_without_an_answer_keeps_what_it_cost(provider: str, answer: Any) -> None:
    error = fail(provider, answer)
    assert type(error) is ProviderCutOff
    assert error.completion.cost_micros > 0
    assert error.completion.usage.input_tokens == 2100


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("openai", message(content=[{"type": "text", "text": "Hel"}, {"text": "lo."}])),
        ("openai", message(content=["Hel", "lo."])),
        ("openai", message(content="<think>Well.</think>Hello.")),
        ("ollama", samples.ollama("<think>Well.</think>Hello.")),
        (
            "ollama",
            samples.ollama()
            | {"message": {"content": [{"type": "text", "text": "Hello."}], "thinking": "Well."}},
        ),
        (
            "anthropic",
            samples.anthropic()
            | {
                "content": [
                    {"type": "thinking", "thinking": "Well."},
                    {"type": "text", "text": "Hel"},
                    {"type": "text", "text": "lo."},
                ]
            },
        ),
        (
            "gemini",
            candidate(content={"parts": [{"text": "Well.", "thought": True}, {"text": "Hello."}]}),
        ),
    ],
)
def test_a_text_in_parts_is_one_text(provider: str, answer: Any) -> None:
    assert read(provider, answer).text == "Hello."


def test_the_arguments_of_the_answering_tool_are_the_answer() -> None:
    block = {"type": "tool_use", "name": "json_tool_call", "input": {"values": [1], "unit": "m"}}
    answer = samples.anthropic(stop="tool_use") | {"content": [block]}
    completion = read("anthropic", answer)
    assert orjson.loads(completion.text) == {"values": [1], "unit": "m"}
    assert completion.finish_reason == "stop"
    saying = read_anthropic(answer, wrapped=True)
    assert saying is not None
    assert saying.text == "[1]"


@pytest.mark.parametrize("schema", [{"$ref": "#/x", "x": {"type": 5}}, {"$ref": "#"}])
def test_a_schema_that_breaks_its_check_is_final_and_paid(schema: Any) -> None:
    with pytest.raises(SchemaUnusable) as caught:
        fit(read("openai", samples.openai("{}")), schema)
    assert not caught.value.retryable
    assert caught.value.completion.cost_micros > 0
