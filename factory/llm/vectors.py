"""Vectors as providers send them, made into what can be stored and searched, or recognized as what cannot."""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, TypeAlias

MOST_DIMENSIONS = 16_000
"""What pgvector's type `vector` holds. https://github.com/pgvector/pgvector#vector-type"""

Vector: TypeAlias = "array[float]"
Vectors: TypeAlias = "list[Vector | None]"
"""One a text, in order; None where the provider gave none that can be used."""


def read_vectors(given: Sequence[Any], texts: int) -> Vectors:
    """The vectors of so many texts from a list of vectors in their order. Raises ValueError."""
    return _checked([read_vector(one) for one in given], texts)


def read_indexed_vectors(items: Sequence[Any], texts: int) -> Vectors:
    """The same from OpenAI's `[{"index": 0, "embedding": […]}, …]`. Raises ValueError.

    An answer without some of the vectors is told by its indexes, which vectors it has. Some servers send no indexes
    or 0 for all: then the order counts, as long as none is missing.
    """
    vectors = [read_vector(item.get("embedding")) for item in items]
    indexes = [item.get("index") for item in items]
    if not _are_distinct(indexes, texts):
        return _checked(vectors, texts)
    found: Vectors = [None] * texts
    for index, vector in zip(indexes, vectors, strict=True):
        found[index] = vector
    return _checked(found, texts)


def read_vector(given: Any) -> Vector | None:
    """A list of numbers, or base64 of 32-bit floats, as 32-bit floats.

    None for what is no vector: nothing, an empty list, and one that holds null, NaN or what no such float can be.
    """
    try:
        vector = _unpack(given) if isinstance(given, str) else array("f", given)
    except (TypeError, ValueError, OverflowError):
        return None
    # Of so many numbers of 32 bits the sum is finite if they are.
    return vector if vector and math.isfinite(sum(vector)) else None


def _unpack(given: str) -> Vector:
    vector = array("f", b64decode(given, validate=True))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _are_distinct(indexes: Sequence[Any], texts: int) -> bool:
    valid = all(type(index) is int and 0 <= index < texts for index in indexes)
    return valid and len(set(indexes)) == len(indexes)


def _checked(vectors: Vectors, texts: int) -> Vectors:
    if len(vectors) != texts:
        raise ValueError(f"{len(vectors)} vectors for {texts} texts")
    lengths = {len(vector) for vector in vectors if vector is not None}
    if not lengths:
        raise ValueError("no vector that could be used")
    if len(lengths) > 1:
        raise ValueError(f"vectors of {min(lengths)} and of {max(lengths)} numbers")
    if max(lengths) > MOST_DIMENSIONS:
        raise ValueError(f"vectors of {max(lengths)} numbers; {MOST_DIMENSIONS} can be stored")
    return vectors
