"""What the child processes of `LocalModel` do. The model and its tokenizer are read when they are first needed."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

from factory.knowledge.chunk import cut
from factory.knowledge.embed import LocalEmbedder, TokenCounter


def embed_texts(texts: Sequence[str]) -> list[tuple[array[float], int]]:
    """The vector of each text, and how many tokens the text has."""
    embedder = _embedder()
    vectors = embedder.embed(texts)
    counts = [embedder.count_tokens(text) for text in texts]
    return [(array("f", vector), count) for vector, count in zip(vectors, counts, strict=True)]


def cut_blocks(blocks: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Where the chunks of each block begin and end."""
    count = _counter().count_tokens
    return [list(cut(block, count)) for block in blocks]


@cache
def _embedder() -> LocalEmbedder:
    return LocalEmbedder.load()


@cache
def _counter() -> TokenCounter:
    return TokenCounter.load()
