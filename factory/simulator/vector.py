"""Embeddings by feature hashing: texts that share words lie close together, no model needed.

Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009).
"""

from __future__ import annotations

import re
from hashlib import blake2b
from math import sqrt

_WORD = re.compile(r"\w+")
_COORDINATES_PER_WORD = 4


def embed_text(text: str, dimensions: int) -> list[float]:
    """A unit vector of `dimensions` numbers."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        digest = blake2b(word.encode(), digest_size=4 * _COORDINATES_PER_WORD).digest()
        for start in range(0, len(digest), 4):
            number = int.from_bytes(digest[start : start + 4])
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]
