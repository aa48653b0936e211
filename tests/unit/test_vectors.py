"""Vectors as providers send them."""

from __future__ import annotations

from base64 import b64encode
from struct import pack
from typing import Any

import pytest

from factory.llm.vectors import MOST_DIMENSIONS, read_indexed_vectors, read_vector, read_vectors

NAN, INFINITY = float("nan"), float("inf")


def indexed(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": index, "embedding": given} for index, given in pairs]


def listed(vectors: list[Any]) -> list[Any]:
    return [None if vector is None else list(vector) for vector in vectors]


@pytest.mark.parametrize("given", [[0.25, -0.5], [0.25, -0.5, 1], [1, 0]])
def test_numbers_are_a_vector(given: list[float]) -> None:
    vector = read_vector(given)
    assert vector is not None
    assert list(vector) == given


def test_base64_is_a_vector() -> None:
    vector = read_vector(b64encode(pack("<2f", 0.25, -0.5)).decode())
    assert vector is not None
    assert list(vector) == [0.25, -0.5]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "",
        [None, 0.5],
        ["0.5"],
        [NAN],
        [0.5, INFINITY],
        [1e39],
        [10**400],
        {},
        5,
        "no base64!",
        "AAA=",
        b64encode(pack("<1f", NAN)).decode(),
        [[0.5]],
    ],
)
def test_what_could_not_be_stored_is_no_vector(given: Any) -> None:
    assert read_vector(given) is None


def test_vectors_come_in_the_order_of_their_indexes() -> None:
    items = indexed((2, [3.0]), (0, [1.0]), (1, [2.0]))
    assert listed(read_indexed_vectors(items, 3)) == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize("index", [0, None, "0", 7])
def test_where_the_indexes_say_nothing_the_order_counts(index: Any) -> None:
    items = indexed((index, [1.0]), (index, [2.0]))
    assert listed(read_indexed_vectors(items, 2)) == [[1.0], [2.0]]
    del items[0]["index"]
    assert listed(read_indexed_vectors(items, 2)) == [[1.0], [2.0]]


def test_a_vector_that_is_missing_leaves_the_others_at_their_places() -> None:
    items = indexed((0, [1.0]), (2, [3.0]))
    assert listed(read_indexed_vectors(items, 3)) == [[1.0], None, [3.0]]
    items = indexed((0, [1.0]), (1, [None]), (2, [3.0]))
    assert listed(read_indexed_vectors(items, 3)) == [[1.0], None, [3.0]]
    assert listed(read_vectors([[1.0], [], [3.0]], 3)) == [[1.0], None, [3.0]]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (indexed((0, [1.0]), (0, [2.0])), "2 vectors for 3 texts"),
        (indexed(*[(n, [1.0]) for n in range(4)]), "4 vectors for 3 texts"),
        (indexed((0, None), (1, None), (2, None)), "no vector that could be used"),
        ([], "no vector that could be used"),
        (indexed((0, [1.0]), (1, [1.0, 2.0]), (2, [1.0])), "vectors of 1 and of 2 numbers"),
        (indexed((0, [1.0] * (MOST_DIMENSIONS + 1))), "16000 can be stored"),
    ],
)
def test_an_answer_that_cannot_be_told_apart_is_refused(items: list[Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_indexed_vectors(items, 3)


def test_without_indexes_there_is_one_vector_a_text() -> None:
    with pytest.raises(ValueError, match="1 vectors for 2 texts"):
        read_vectors([[1.0]], 2)
