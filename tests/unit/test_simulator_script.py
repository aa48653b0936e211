"""The grammar of scripts, and the playbook that keeps them in force."""

from __future__ import annotations

import pytest

from factory.errors import InvalidInput
from factory.simulator.playbook import Playbook
from factory.simulator.script import (
    NO_LATENCY,
    Act,
    Kind,
    Latency,
    Tail,
    draw_latency_ms,
    find_directive,
    parse_script,
)

DIGEST = b"0123456789abcdef"


def test_every_word_of_a_script_is_read():
    script = parse_script("latency_ms=50..2000 tail=1%:60000 status=429 times=2 retry_after=3")
    assert script.latency == Latency(50, 2000)
    assert script.tail == Tail(0.01, 60000)
    assert script.act == Act(Kind.STATUS, status=429, retry_after_s=3, times=2)


@pytest.mark.parametrize("word", ["hang", "cut", "garbage"])
def test_an_act_is_a_bare_word(word: str):
    act = parse_script(word).act
    assert act is not None
    assert act.kind == word


@pytest.mark.parametrize(
    "text",
    ["sulk", "status=200", "status=often", "latency_ms=9..1", "tail=60000", "hang=1", "hang cut"],
)
def test_a_script_outside_the_grammar_is_refused(text: str):
    with pytest.raises(InvalidInput):
        parse_script(text)


def test_the_last_directive_of_a_conversation_counts():
    body = b'[{"content": "{{simulate hang}}"}, {"content": "now {{simulate status=500 times=1}}"}]'
    assert find_directive(body) == "status=500 times=1"
    assert find_directive(b"nothing to {{see}} here") is None


def test_latencies_stay_between_their_bounds_but_for_the_tail():
    numbers = iter([0.5, 0.5, 0.5, 0.001])
    latency, tail = Latency(100, 200), Tail(0.01, 60_000)
    drawn = [draw_latency_ms(latency, tail, lambda: next(numbers)) for _ in range(2)]
    assert drawn == [150, 60_000]


def test_an_act_strikes_a_key_as_often_as_the_script_says():
    playbook = Playbook(["openai"], NO_LATENCY)

    def strikes(key: str) -> bool:
        return playbook.plan("openai", ["status=429 times=2"], key, DIGEST).act is not None

    assert [strikes("a") for _ in range(3)] == [True, True, False]
    assert strikes("b")


def test_when_a_calls_own_act_is_used_up_the_providers_applies():
    playbook = Playbook(["openai"], NO_LATENCY)
    playbook.replace({"openai": "status=503"})
    acts = [playbook.plan("openai", ["hang times=1"], "a", DIGEST).act for _ in range(2)]
    assert [act.kind for act in acts if act] == [Kind.HANG, Kind.STATUS]


def test_a_call_that_names_no_latency_takes_the_providers():
    playbook = Playbook(["openai", "ollama"], Latency(5, 5))
    playbook.replace({"openai": "latency_ms=70"})
    assert playbook.plan("openai", ["cut"], "a", DIGEST).latency_ms == 70
    assert playbook.plan("ollama", ["cut"], "a", DIGEST).latency_ms == 5


def test_a_latency_is_a_function_of_the_digest():
    playbook = Playbook(["openai"], Latency(0, 1000))
    latencies = [playbook.plan("openai", [], "a", d).latency_ms for d in (DIGEST, DIGEST, b"x")]
    assert latencies[0] == latencies[1] != latencies[2]


def test_replaced_scripts_count_anew():
    playbook = Playbook(["openai"], NO_LATENCY)
    for _ in range(2):
        playbook.replace({"openai": "cut times=1"})
        assert playbook.plan("openai", [], "a", DIGEST).act is not None
    assert playbook.plan("openai", [], "a", DIGEST).act is None


def test_scripts_for_unknown_providers_are_refused():
    with pytest.raises(InvalidInput, match="acme"):
        Playbook(["openai"], NO_LATENCY).replace({"acme": "hang"})
