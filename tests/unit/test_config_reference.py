"""The page of settings says what the code says, and every setting says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.config import Settings
from factory.config.reference import PAGE, bounds, descriptions, page

ROOT = Path(__file__).parents[2]
NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if any(kind in str(field.annotation) for kind in ("int", "float"))
]


def test_the_page_is_that_of_the_code() -> None:
    text = (ROOT / PAGE).read_text()
    assert page(text) == text, "run: python -m factory.config.reference"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert descriptions().get(name), f"{name} needs a docstring below it"


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_least_and_a_most(name: str) -> None:
    found = bounds(name)
    assert found.keys() & {"ge", "gt"}, f"{name} needs ge or gt"
    assert found.keys() & {"le", "lt"}, f"{name} needs le: what nothing bounds overflows somewhere"
