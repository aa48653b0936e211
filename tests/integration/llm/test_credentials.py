"""A credential is an argument of a call: two of one model, at once and one after the other, do not mix."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from factory.domain.message import Message, Params, Role
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import Catalog
from factory.llm.endpoint import Endpoint, endpoint_of
from tests.integration.llm.conftest import settings_below
from tests.integration.llm.recorder import Recorder, Sent

KEYS = ("key-of-one", "key-of-other")
CALLS = 20
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": '{"n": 1}'}, "finish_reason": "stop"}]}  # fmt: skip
VECTORS = {"data": [{"index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1}}


def said(name: str) -> list[Message]:
    return [Message(Role.USER, name)]


def trace(name: str) -> CallTrace:
    return CallTrace(f"job-of-{name}", "answer", 1)


def credentials(recorder: Recorder, catalog: Catalog, model: str) -> dict[str, Endpoint]:
    endpoint = endpoint_of(settings_below(recorder.url), catalog.find(model))
    assert endpoint is not None
    return {key: replace(endpoint, key=key) for key in KEYS}


def is_its_own(sent: Sent) -> bool:
    """Whether the request carries the credential of the call whose name its trace has."""
    name = sent.headers["x-factory-job"].removeprefix("job-of-")
    carried = sent.headers.get("authorization", "") + sent.headers.get("x-api-key", "")
    return carried.removeprefix("Bearer ") == name


@pytest.mark.parametrize("params", [Params(), Params(json_schema=SCHEMA)])
def test_completions_of_two_credentials_do_not_mix(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog, params: Params
) -> None:
    recorder.answer = ANSWER
    model = catalog.find("openai/gpt-4")
    found = credentials(recorder, catalog, model.id)

    async def calls() -> None:
        client = ProviderClient(settings_below(recorder.url))
        try:
            await asyncio.gather(
                *(
                    client.complete(model, said(key), params, trace(key), found[key])
                    for _ in range(CALLS // len(KEYS))
                    for key in KEYS
                )
            )
        finally:
            await client.close()

    runner.run(calls())
    assert_all_are_their_own(recorder)


def test_embeddings_of_two_credentials_do_not_mix(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer = VECTORS
    model = catalog.find("openai/text-embedding-3-small")
    found = credentials(recorder, catalog, model.id)

    async def calls() -> None:
        client = ProviderClient(settings_below(recorder.url))
        try:
            for n in range(CALLS):
                key = KEYS[n % len(KEYS)]
                await client.embed(model, ["text"], trace(key), found[key])
        finally:
            await client.close()

    runner.run(calls())
    assert_all_are_their_own(recorder)


def test_no_cookie_is_kept_between_calls(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer, recorder.headers = VECTORS, {"Set-Cookie": "session=of-one; Path=/"}
    # By a name: no client keeps the cookies of an address.
    recorder.url = recorder.url.replace("127.0.0.1", "localhost")
    model = catalog.find("openai/text-embedding-3-small")
    found = credentials(recorder, catalog, model.id)

    async def calls() -> None:
        client = ProviderClient(settings_below(recorder.url))
        try:
            for key in KEYS:
                await client.embed(model, ["text"], trace(key), found[key])
        finally:
            await client.close()

    runner.run(calls())
    assert ["cookie" in sent.headers for sent in recorder.sent] == [False, False]


def assert_all_are_their_own(recorder: Recorder) -> None:
    assert len(recorder.sent) == CALLS
    assert all(map(is_its_own, recorder.sent))
    assert {sent.headers["x-factory-job"] for sent in recorder.sent} == {
        f"job-of-{key}" for key in KEYS
    }


def test_a_credential_that_sticks_to_the_model_would_be_noticed() -> None:
    """The control: what a cache by model would send."""
    headers: dict[str, Any] = {
        "x-factory-job": f"job-of-{KEYS[1]}",
        "authorization": f"Bearer {KEYS[0]}",
    }
    assert not is_its_own(Sent("/v1/chat/completions", headers, {}))
