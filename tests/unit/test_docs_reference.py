"""The pages that are made of the code are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.docs.reference import PAGES, made
from deploy.docs.reference.api import document, shape
from factory.errors import FactoryError

ROOT = Path(__file__).parents[2]
WITHOUT_SERVERS = sorted(set(PAGES) - {"docs/reference/metrics.md"})


@pytest.mark.parametrize("name", WITHOUT_SERVERS)
def test_the_page_is_that_of_the_code(name: str) -> None:
    assert (ROOT / name).read_text() == made(name), "run: python -m deploy.docs reference"


def test_every_call_of_the_api_has_a_section() -> None:
    page = (ROOT / "docs/reference/api.md").read_text()
    for path, operations in document()["paths"].items():
        for method in operations:
            assert f"### {method.upper()} {path} " in page


def test_every_error_type_has_a_row() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text()
    unseen = {"internal_error", "misconfigured", "job_failure", "unusable_output", "provider_error"}
    assert [kind for kind in sorted(_types(FactoryError) - unseen) if f"`{kind}`" not in page] == []


def _types(kind: type[FactoryError]) -> set[str]:
    ours = [one for one in kind.__subclasses__() if one.__module__.startswith("factory.errors.")]
    below = (_types(one) for one in ours)
    return {kind.type}.union(*below)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "string"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
            "array of [Job](#schema-job)",
        ),
        ({"enum": ["a", "b"]}, '`"a"` `"b"`'),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({}, "any"),
    ],
)
def test_a_type_is_said_in_words(schema: dict[str, object], said: str) -> None:
    assert shape(schema) == said
