"""Our way of calling and `litellm.acompletion` send the same and read the same.

The transformations that we call are internals of LiteLLM: these tests say whether another version may be
pinned. The server at the other end keeps what both sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from factory.domain.message import Completion, Message, Params, Role
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from factory.llm.openai_shape import openai_params
from factory.llm.provider import litellm
from factory.llm.template import CHECKED_USES
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.recorder import Recorder, Sent

TRACE = CallTrace("job-1", "answer", 1)
ONE_TURN = (Message(Role.USER, "What is a queue?"),)
MANY_TURNS = (
    Message(Role.SYSTEM, "Answer in one sentence."),
    Message(Role.USER, "Hello. «Grüße» 你好"),
    Message(Role.ASSISTANT, "Hello, how can I help?"),
    Message(Role.USER, "What is a queue?"),
)
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["fifo", "lifo"]},
        "size": {"type": "integer"},
    },
    "required": ["kind", "size"],
    "additionalProperties": False,
}
FITTING = '{"kind": "fifo", "size": 3}'
EVERY_PARAM = Params(temperature=0.25, top_p=0.9, max_tokens=77, seed=7, stop=("END", "STOP"))


@dataclass(frozen=True)
class Case:
    """One provider: a model of it, how LiteLLM is told to call it, and its answers."""

    model: str
    litellm_model: str
    key: str | None
    base: str
    answer: Callable[..., Any]


CASES = [
    Case("openai/gpt-4o-mini", "openai/gpt-4o-mini", "key-openai", "/openai/v1", samples.openai),
    Case("openai/gpt-5-mini", "openai/gpt-5-mini", "key-openai", "/openai/v1", samples.openai),
    Case(
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-sonnet-4-5",
        "key-anthropic",
        "/anthropic",
        samples.anthropic,
    ),
    Case(
        "gemini/gemini-2.5-flash",
        "gemini/gemini-2.5-flash",
        "key-google",
        "/gemini/v1beta",
        samples.gemini,
    ),
    Case("ollama/llama3.2", "ollama_chat/llama3.2", None, "/ollama", samples.ollama),
    Case(
        "mistral/mistral-small-latest",
        "mistral/mistral-small-latest",
        "key-mistral",
        "/mistral/v1",
        samples.openai,
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.model)
def case(request: pytest.FixtureRequest) -> Case:
    given: Case = request.param
    return given


class BothWays:
    """Makes the same call our way and LiteLLM's. `uses`: how many calls of its shape we make before."""

    uses = 0

    def __init__(
        self, runner: asyncio.Runner, recorder: Recorder, client: Caller, catalog: Catalog
    ) -> None:
        self._runner, self._recorder = runner, recorder
        self._client, self._catalog = client, catalog

    def call(
        self, case: Case, messages: tuple[Message, ...], params: Params, answer: Any
    ) -> tuple[Completion, Any, Sent, Sent]:
        """Our completion, LiteLLM's response, what we sent, what LiteLLM sent."""
        model = self._catalog.find(case.model)
        # LiteLLM prices the model that says it answered, and we the one that was asked.
        served = "modelVersion" if model.provider == "gemini" else "model"
        self._recorder.answer = answer | {served: model.name}
        for use in range(self.uses):
            others = [Message(one.role, f"Use {use}.") for one in messages]
            self._runner.run(self._client.complete(model, others, params, TRACE))
        self._recorder.sent.clear()
        ours = self._runner.run(self._client.complete(model, messages, params, TRACE))
        theirs = self._runner.run(
            litellm.acompletion(
                model=case.litellm_model,
                messages=[message.as_dict() for message in messages],
                api_base=self._recorder.url + case.base,
                api_key=case.key,
                max_retries=0,
                num_retries=0,
                drop_params=True,
                **openai_params(params),
            )
        )
        # LiteLLM asks Ollama about the model too, when it writes its log.
        chats = [sent for sent in self._recorder.sent if not sent.path.endswith("/api/show")]
        our_sent, their_sent = chats
        return ours, theirs, our_sent, their_sent


@pytest.fixture
def both(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: Callable[[str], Caller],
    catalog: Catalog,
) -> BothWays:
    return BothWays(runner, recorder, make_client(recorder.url), catalog)


@pytest.fixture(params=[0, CHECKED_USES], ids=["by LiteLLM", "by template"])
def by_each(request: pytest.FixtureRequest, both: BothWays) -> BothWays:
    """Once with a request that LiteLLM makes for us, once with one from a template."""
    both.uses = request.param
    return both


def check_same(ours: Completion, theirs: Any, catalog: Catalog, case: Case) -> None:
    assert ours.text == theirs.choices[0].message.content
    assert ours.finish_reason == theirs.choices[0].finish_reason
    assert ours.usage.input_tokens == theirs.usage.prompt_tokens
    assert ours.usage.output_tokens == theirs.usage.completion_tokens
    details = theirs.usage.prompt_tokens_details
    assert ours.usage.cached_tokens == (getattr(details, "cached_tokens", 0) or 0)
    if case.base == "/ollama":
        assert ours.cost_micros == 0
        return
    dollars = litellm.completion_cost(theirs, model=case.litellm_model)
    assert ours.cost_micros == pytest.approx(dollars * 1_000_000, abs=0.5001)


def check_same_sent(ours: Sent, theirs: Sent) -> None:
    assert ours.path == theirs.path
    # Sampling defaults aside, LiteLLM sends an explicit "stream" to some.
    assert without_stream(ours.body) == without_stream(theirs.body)
    for name in (
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "anthropic-version",
        "anthropic-beta",
    ):
        assert ours.headers.get(name) == theirs.headers.get(name), name


def without_stream(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if (name, value) != ("stream", False)}


@pytest.mark.parametrize("messages", [ONE_TURN, MANY_TURNS], ids=["one turn", "many turns"])
@pytest.mark.parametrize("params", [Params(), EVERY_PARAM], ids=["defaults", "every parameter"])
def test_both_ways_send_and_read_the_same(
    by_each: BothWays, catalog: Catalog, case: Case, messages: tuple[Message, ...], params: Params
) -> None:
    ours, theirs, our_sent, their_sent = by_each.call(case, messages, params, case.answer())
    check_same_sent(our_sent, their_sent)
    check_same(ours, theirs, catalog, case)
    assert ours.text == samples.TEXT


def test_both_ways_ask_for_the_same_structured_output(
    by_each: BothWays, catalog: Catalog, case: Case
) -> None:
    answer = case.answer(FITTING)
    ours, theirs, our_sent, their_sent = by_each.call(
        case, MANY_TURNS, Params(json_schema=SCHEMA), answer
    )
    check_same_sent(our_sent, their_sent)
    check_same(ours, theirs, catalog, case)
    assert ours.parsed == orjson.loads(FITTING)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("openai/gpt-4o-mini", samples.openai(finish="length")),
        ("openai/gpt-4o-mini", samples.openai(finish="content_filter", text="")),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(stop="max_tokens")),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(stop="stop_sequence")),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(stop="refusal")),
        ("gemini/gemini-2.5-flash", samples.gemini(finish="MAX_TOKENS")),
        ("gemini/gemini-2.5-flash", samples.gemini(finish="SAFETY")),
        ("ollama/llama3.2", samples.ollama(done="length")),
        ("mistral/mistral-small-latest", samples.openai(finish="length")),
    ],
)
def test_both_ways_read_the_same_finish_reason(both: BothWays, name: str, answer: Any) -> None:
    case = next(case for case in CASES if case.model == name)
    ours, theirs, *_ = both.call(case, ONE_TURN, Params(), answer)
    assert ours.finish_reason == theirs.choices[0].finish_reason
    assert ours.text == (theirs.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("openai/gpt-4o-mini", samples.openai(cached=1024)),
        ("openai/gpt-5-mini", samples.openai(cached=1920)),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(cached=1024)),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(written=1500)),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(cached=999, written=1500)),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(fresh=200_001, written=10)),
        ("anthropic/claude-sonnet-4-5", samples.anthropic(fresh=150_000, cached=60_000)),
        ("gemini/gemini-2.5-flash", samples.gemini(cached=1024)),
        ("gemini/gemini-2.5-pro", samples.gemini(prompt=200_000)),
        ("gemini/gemini-2.5-pro", samples.gemini(prompt=200_001, cached=100_000)),
    ],
)
def test_caches_and_long_inputs_cost_what_litellm_says(
    both: BothWays, catalog: Catalog, name: str, answer: Any
) -> None:
    bases = {case.model.split("/")[0]: case for case in CASES}
    like = bases[name.split("/", maxsplit=1)[0]]
    case = Case(name, name, like.key, like.base, like.answer)
    ours, theirs, *_ = both.call(case, ONE_TURN, Params(), answer)
    check_same(ours, theirs, catalog, case)
    assert ours.cost_micros is not None
    assert ours.cost_micros > 0
