"""What would hold the loop runs beside it: it goes on, and a cancellation ends it at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from multidict import CIMultiDict

from factory.domain.message import Message, Params, Role
from factory.errors import InvalidInput, InvalidOutput, SchemaUnusable, Untranslatable
from factory.llm import check, translation
from factory.llm.catalog import Catalog
from factory.llm.check import AnswerCheck, is_quick
from factory.llm.endpoint import Endpoint, Request
from factory.llm.schema import check_schema
from factory.llm.translation import Translator
from tests.integration.llm import samples

LONGEST_GAP_S = 15.0
"""The work itself takes longer. That a deadline ends a job within 2 s is tried by the fault `loop_blocked`, which allows
5 s because all of its programs share a busy machine."""
OWNER = "project-1"
ENDPOINT = Endpoint("http://127.0.0.1:9", "key")
UNIQUE = {"items": {"uniqueItems": True}}
SLOW_TEXT = json.dumps([[{"a": n} for n in range(20_000)]])
"""Objects cannot be sorted: each is compared with each other."""
TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}},
}
DEEP_TEXT = '{"a":' * 30 + "{}" + "}" * 30
"""Each level doubles the work."""


@asynccontextmanager
async def ticking() -> AsyncIterator[None]:
    """Fails if the loop stood still meanwhile."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)

    ticks = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticks.cancel()
    assert longest < LONGEST_GAP_S


async def cancelled_at_once(work: Awaitable[Any]) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.5)
    assert not task.done()
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < LONGEST_GAP_S


@pytest.mark.parametrize(("schema", "text"), [(UNIQUE, SLOW_TEXT), (TREE, DEEP_TEXT)])
def test_a_slow_check_is_cancelled_at_once_and_others_go_on(
    runner: asyncio.Runner, schema: dict[str, Any], text: str
) -> None:
    async def scenario() -> None:
        checks = AnswerCheck()
        measured = await checks.prepare(schema, OWNER)
        async with ticking():
            await cancelled_at_once(checks.parse(text, schema, measured, OWNER))
            assert await checks.parse("[]", {**UNIQUE, "type": "array"}, measured, OWNER) == []
        await checks.close()

    runner.run(scenario())


def test_a_check_that_is_late_ends_the_job_and_keeps_the_answer(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        checks = AnswerCheck()
        measured = await checks.prepare(TREE, OWNER)
        monkeypatch.setattr(check, "CHECK_S", 0.5)
        with pytest.raises(SchemaUnusable, match=r"took more than 0.5 s"):
            await checks.parse(DEEP_TEXT, TREE, measured, OWNER)
        await checks.close()

    runner.run(scenario())


def test_errors_of_a_check_beside_the_loop_are_those_of_one_on_it(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        checks = AnswerCheck()
        schema = {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}}
        measured = await checks.prepare(schema, OWNER)
        assert await checks.parse('["a"]', schema, measured, OWNER) == ["a"]
        with pytest.raises(InvalidOutput, match=r"at \$\[0\]: 'A' does not match"):
            await checks.parse('["A"]', schema, measured, OWNER)
        with pytest.raises(InvalidOutput, match="not JSON"):
            await checks.parse("nothing", schema, measured, OWNER)
        await checks.close()

    runner.run(scenario())


def test_a_pattern_that_eats_memory_when_compiled_is_refused_before_the_call(
    runner: asyncio.Runner,
) -> None:
    async def scenario() -> None:
        checks = AnswerCheck()
        async with ticking():
            with pytest.raises(InvalidInput, match="too much time or memory"):
                await checks.prepare({"pattern": "(?:(?:a{1000}){1000}){1000}"}, OWNER)
        await checks.close()

    runner.run(scenario())


@pytest.mark.parametrize("words", [{"uniqueItems": True}, {"pattern": "a"}, TREE])
def test_only_what_is_surely_quick_is_checked_on_the_loop(words: dict[str, Any]) -> None:
    usual = {
        "type": "object",
        "properties": {f"f{n}": {"type": "string", "description": "word"} for n in range(20)},
    }
    assert is_quick('{"f1": "some, text"}', check_schema(usual))
    assert not is_quick("[" + "0," * 5_000 + "0]", check_schema(usual))
    assert not is_quick("x" * 300_000, check_schema({}))
    assert not is_quick("[]", check_schema(words))


def many_definitions(count: int) -> dict[str, Any]:
    """LiteLLM copies the table of definitions for every value."""
    used = {"properties": {name: {"type": "string"} for name in "abcdef"}}
    return {
        "type": "object",
        "properties": {f"p{n}": {"$ref": "#/$defs/used"} for n in range(count)},
        "$defs": {"used": used, **{f"d{n}": {} for n in range(count)}},
    }


def test_a_slow_translation_is_cancelled_at_once_and_others_go_on(
    runner: asyncio.Runner, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = catalog.find("anthropic/claude-haiku-4-5")
    messages = [Message(Role.USER, "hi")]
    small, large = (
        Params(json_schema=many_definitions(count), max_tokens=100) for count in (200, 2_500)
    )

    async def translate(translator: Translator, params: Params) -> bytes:
        assert params.json_schema is not None
        measured = check_schema(params.json_schema)
        assert not translation.is_quick(messages, measured)
        request = await translator.request(model, ENDPOINT, messages, params, measured, OWNER)
        return request.body

    async def scenario() -> None:
        translator = Translator()
        async with ticking():
            wire = translation.wire(model, ENDPOINT.base_url)
            inline = wire.request(messages, small, ENDPOINT.key).body
        async with ticking():
            assert await translate(translator, small) == inline
            await cancelled_at_once(translate(translator, large))
            monkeypatch.setattr(translation, "TRANSLATION_S", 0.2)
            with pytest.raises(Untranslatable, match="translation of the call took more than"):
                await translate(translator, large)
        await translator.close()

    runner.run(scenario())


def test_many_messages_are_translated_beside_the_loop(
    runner: asyncio.Runner, catalog: Catalog, make_client: Callable[[str], Any]
) -> None:
    messages = [Message(Role.USER, "x")] * 20_000
    assert not translation.is_quick(messages, None)
    assert translation.is_quick([Message(Role.USER, "x" * 1_000_000)], None)


def test_large_answers_are_read_beside_the_loop_as_on_it(
    runner: asyncio.Runner, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, embedder = catalog.find("openai/gpt-4o-mini"), catalog.find("text-embedding-3-small")
    said = json.dumps(samples.openai("x" * 100)).encode()
    vector = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    embedded = json.dumps({"object": "list", "data": [vector], "usage": usage}).encode()

    async def read(translator: Translator) -> list[Any]:
        request = Request("", CIMultiDict(), b"")
        return [
            await translator.completion(chat, ENDPOINT.base_url, request, said, 5, OWNER),
            await translator.embeddings(embedder, ["text"], embedded, 5, OWNER),
        ]

    async def scenario() -> None:
        translator = Translator()
        inline = await read(translator)
        monkeypatch.setattr(translation, "QUICK_BODY_BYTES", 0)
        monkeypatch.setattr(translation, "QUICK_VECTORS_BYTES", 0)
        async with ticking():
            assert await read(translator) == inline
        await translator.close()

    runner.run(scenario())
