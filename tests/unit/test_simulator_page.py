"""The page of the simulator's scripts says all of the grammar, and nothing that is not in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from factory.simulator.odd import ODDITIES
from factory.simulator.script import WORDS, parse_script

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
TABLE = "| script | plays |"


def scripts_in_prompts() -> list[str]:
    return re.findall(r"\{\{simulate ([^{}…]+)\}\}", PAGE)


def scripts_in_the_table() -> list[str]:
    rows = PAGE[PAGE.index(TABLE) :].split("\n\n")[0].splitlines()[2:]
    return [row.split("`")[1] for row in rows]


def scripts_in_headers() -> list[str]:
    return re.findall(r"x-simulate: ([^']+)'", PAGE)


def scripts_of_providers() -> list[str]:
    bodies = re.findall(r"-d '(\{\"openai\":[^']+)'", PAGE)
    return [script for body in bodies for script in json.loads(body).values()]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_its_row(word: str) -> None:
    assert re.search(rf"^\| `{word}[=`]", PAGE, re.MULTILINE)


def test_every_odd_answer_has_its_row_and_no_row_is_of_none() -> None:
    rows = PAGE[PAGE.index("| `odd=` |") :].split("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall("`([^`]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(ODDITIES)


def test_every_script_on_the_page_is_one() -> None:
    kinds = (scripts_in_prompts, scripts_in_the_table, scripts_in_headers, scripts_of_providers)
    for kind in kinds:
        scripts = kind()
        assert scripts, kind.__name__
        for script in scripts:
            parse_script(script)
