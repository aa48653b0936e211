"""Answers with members that are missing or of another type break no reader."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from factory.errors import JobFailure
from tests.integration.llm import samples
from tests.unit.test_provider_reading import OBJECT, READERS, fit, read

ODD_VALUES = (None, [], {}, "", "text", 3, -1, 1.5, True, [None], [[]], [{}], {"text": 3})


def spoiled(answer: Any, luck: random.Random) -> Any:
    """The answer with one member, anywhere in it, replaced or taken away."""
    answer = copy.deepcopy(answer)
    holder, key = luck.choice(list(places(answer)))
    if luck.random() < 0.2 and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = luck.choice(ODD_VALUES)
    return answer


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, part in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        yield value, key
        yield from places(part)


@pytest.mark.parametrize("provider", READERS)
def test_no_answer_breaks_its_reader(provider: str) -> None:
    luck = random.Random(provider)
    for _ in range(400):
        answer = getattr(samples, provider)("{}")
        for _ in range(luck.randint(1, 3)):
            answer = spoiled(answer, luck)
        try:
            completion = fit(read(provider, answer), OBJECT)
        except JobFailure:
            continue
        assert completion.cost_micros is None or completion.cost_micros >= 0
        assert isinstance(completion.text, str)
