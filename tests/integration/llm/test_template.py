"""A request from a template is LiteLLM's own for every provider, and a template that is wrong is noticed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.domain.message import Message, Params, Role
from factory.errors import Untranslatable
from factory.llm import template
from factory.llm.catalog import Catalog, load_catalog
from factory.llm.endpoint import Request
from factory.llm.provider import Wire
from factory.llm.template import CHECKED_USES, Template, Templates, is_same, make_template

MODELS = (
    "openai/gpt-4o-mini",
    "openai/gpt-5-mini",
    "openai/o3-mini",
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-sonnet-5",
    "anthropic/claude-opus-4-8",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-3-flash-preview",
    "gemini/gemini-gemma-2-9b-it",
    "mistral/mistral-small-latest",
    "mistral/magistral-small-latest",
    "ollama/llama3.2",
    "openai-compatible/meta-llama/Llama-3.1-8B-Instruct",
    "local/gemma3-270m",
)
KEYS = (None, "key-1", "sk-ant-oat-1")
"""Anthropic's third is a token of another kind, which travels with headers that others do not."""
OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SCHEMAS: tuple[Any, ...] = (
    OBJECT,
    {**OBJECT, "additionalProperties": False},
    {"type": "array", "items": {"$ref": "#/$defs/N"}, "$defs": {"N": {"enum": ["«", 1, None]}}},
    {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[a-z]+$"}},
)
ODD_TEXTS = (
    *("", " ", "\n\n", "\u2003", "said \n", "\tsaid", "\ud800"),
    *("<think>so</think>then", "<thinking>a</thinking>", "<budget:thinking>a</budget:thinking>b"),
    *("x-anthropic-billing-header: 1", "data:image/png;base64,AAAA", "https://a.b/c.png"),
    *('{"role": "system"}', "[INST] </s> <|im_end|>", "\x00\x7f\u2028", "text-0-of-a-template"),
)
HELLO = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hello."))
CATALOG = load_catalog("")

texts = (
    st.sampled_from(ODD_TEXTS)
    | st.text(max_size=40)
    | st.text(min_size=1, max_size=9).map(str.strip)
)
messages = st.lists(st.builds(Message, st.sampled_from(Role), texts), min_size=1, max_size=6)
params = st.builds(
    Params,
    temperature=st.sampled_from((None, 0, 0.0, 0.25, 1, 1.0)),
    top_p=st.sampled_from((None, 0.9)),
    max_tokens=st.sampled_from((None, 77)),
    seed=st.sampled_from((None, 7, 2**70)),
    stop=st.sampled_from(((), ("END",), ("«", '"'))),
    json_schema=st.none() | st.sampled_from(SCHEMAS),
)


class CountedWire(Wire):
    """Counts what LiteLLM is asked."""

    asked = 0

    def request(self, messages: Sequence[Message], params: Params, key: str | None) -> Request:
        self.asked += 1
        return super().request(messages, params, key)


def wire_of(model: str) -> CountedWire:
    return CountedWire(CATALOG.find(model), "http://127.0.0.1:9")


def say(text: str, *roles: Role) -> list[Message]:
    """Plain texts, a different one for each message."""
    return [Message(role, f"{text} {number}.") for number, role in enumerate(roles)]


def warm(templates: Templates, wire: Wire, roles: Sequence[Role], params: Params) -> None:
    """Until templates of these roles are believed."""
    for use in range(CHECKED_USES):
        try:
            templates.request(wire, say(f"use {use}", *roles), params, "key-0")
        except Untranslatable:
            return


def ask(make: Any, *args: Any) -> Request | str:
    """The request, or what is said of one that cannot be made."""
    try:
        made: Request = make(*args)
    except Untranslatable as error:
        return error.message
    return made


def check_same(ours: Request | str, theirs: Request | str) -> None:
    if isinstance(ours, str) or isinstance(theirs, str):
        assert ours == theirs
    else:
        assert ours.body == theirs.body
        assert is_same(ours, theirs)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=60)
@given(messages=messages, params=params, key=st.sampled_from(KEYS))
def test_whatever_is_asked_the_request_is_litellms(
    model: str, messages: list[Message], params: Params, key: str | None
) -> None:
    wire, templates = wire_of(model), Templates()
    warm(templates, wire, [message.role for message in messages], params)
    check_same(
        ask(templates.request, wire, messages, params, key),
        ask(wire.request, messages, params, key),
    )
    assert templates.untrusted == set()


@pytest.mark.parametrize(
    "asked", [Params(), Params(0.25, 0.9, 77, 7, ("END",)), Params(json_schema=OBJECT)]
)
@pytest.mark.parametrize("model", MODELS)
def test_after_some_uses_litellm_is_asked_no_more(model: str, asked: Params) -> None:
    wire, templates = wire_of(model), Templates()
    roles = (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER)
    warm(templates, wire, roles, asked)
    before = wire.asked
    ours = templates.request(wire, say("now", *roles), asked, "key-1")
    assert wire.asked == before
    check_same(ours, wire.request(say("now", *roles), asked, "key-1"))


@pytest.mark.parametrize(
    ("model", "odd"),
    [
        ("anthropic/claude-haiku-4-5", [Message(Role.USER, " ")]),
        ("anthropic/claude-haiku-4-5", [*HELLO, Message(Role.ASSISTANT, "I say \n")]),
        ("anthropic/claude-haiku-4-5", [Message(Role.SYSTEM, ""), Message(Role.USER, "Hello.")]),
        ("ollama/llama3.2", [Message(Role.USER, "<think>so</think>then")]),
        ("ollama/llama3.2", [Message(Role.USER, "<budget:thinking>so</budget:thinking>then")]),
        ("mistral/mistral-small-latest", [*HELLO, Message(Role.ASSISTANT, "")]),
    ],
)
def test_a_text_that_litellm_changes_is_left_to_it(
    model: str, odd: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, templates = wire_of(model), Templates()
    warm(templates, wire, [message.role for message in odd], Params())
    theirs = wire.request(odd, Params(), "key-1")
    check_same(templates.request(wire, odd, Params(), "key-1"), theirs)
    # The control: this text in the template would be another request.
    monkeypatch.setattr(template, "is_plain", lambda _: True)
    assert not is_same(templates.request(wire, odd, Params(), "key-1"), theirs)


def test_a_template_is_not_made_where_texts_do_not_come_out_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roles = [message.role for message in HELLO]

    def made(change: Any) -> Template | None:
        wire = wire_of("openai/gpt-4o-mini")
        litellms = wire._translate
        monkeypatch.setattr(wire, "_translate", lambda *args: change(litellms(*args)))
        return make_template(wire, roles, Params())

    def content(data: Any) -> str:
        text: str = data["messages"][-1]["content"]
        return text

    assert made(lambda data: data) is not None
    assert made(lambda data: {**data, "prompt": f"User: {content(data)}", "messages": []}) is None
    assert made(lambda data: {**data, "again": content(data)}) is None
    assert made(lambda data: {**data, "length": len(content(data))}) is None
    assert made(lambda data: {**data, "long": len(content(data)) > 200}) is None
    assert made(lambda data: {**data, "quotes": '"' in content(data)}) is None


@pytest.mark.parametrize("later", [False, True])
def test_a_wrong_template_is_noticed_and_the_provider_left_to_litellm(
    later: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`later`: it goes wrong after the first uses, and a sample finds it."""
    wire, templates = wire_of("openai/gpt-4o-mini"), Templates()
    right = make_template(wire, [message.role for message in HELLO], Params())
    assert right is not None
    wrong = replace(right, beginning=right.beginning.replace(b"gpt-4o-mini", b"gpt-4o-maxi"))
    made = right if later else wrong
    monkeypatch.setattr(template, "make_template", lambda *_: made)
    monkeypatch.setattr(template, "CHECKED_EACH", 8)
    theirs = wire.request(HELLO, Params(), "key-1")
    for _ in range(CHECKED_USES):
        check_same(templates.request(wire, HELLO, Params(), "key-1"), theirs)
    if later:
        assert templates.untrusted == set()
        (shape,) = templates._shapes.values()
        shape.template = wrong
        sent = [templates.request(wire, HELLO, Params(), "key-1") for _ in range(8)]
        # The control: without a sample it would go on being sent.
        assert any(b"gpt-4o-maxi" in request.body for request in sent)
    assert templates.untrusted == {"openai"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Hello." not in caplog.text
    for _ in range(20):
        check_same(templates.request(wire, HELLO, Params(), "key-1"), theirs)


def test_what_is_kept_holds_no_credential_and_no_text() -> None:
    for model in MODELS:
        wire, templates = wire_of(model), Templates()
        for text in ("one-text", "two-text"):
            for key in ("key-of-one", "sk-ant-oat-of-other"):
                for _ in range(CHECKED_USES):
                    made = templates.request(wire, [Message(Role.USER, text)], Params(), key)
                carried = "".join(made.headers.values())
                assert (key in carried) == (wire.provider not in ("ollama", "local"))
                made.headers["authorization"] = key  # as a caller may
        kept = repr(templates._shapes)
        assert "Template" in kept
        assert not any(word in kept for word in ("key-of", "oat", "-text"))


def test_what_is_kept_is_bounded(catalog: Catalog) -> None:
    wire, templates = wire_of("ollama/llama3.2"), Templates()
    for seed in range(template.TEMPLATES + 50):
        for _ in range(2):
            templates.request(wire, HELLO, Params(seed=seed), None)
    assert len(templates._shapes) == template.TEMPLATES
    long = {**OBJECT, "description": "long " * template.MOST_PARAMS_BYTES}
    many = say("turn", *[Role.USER, Role.ASSISTANT] * template.MOST_MESSAGES)
    templates = Templates()
    for _ in range(CHECKED_USES + 1):
        templates.request(wire, HELLO, Params(json_schema=long), None)
        templates.request(wire, many, Params(), None)
    assert templates._shapes == {}
