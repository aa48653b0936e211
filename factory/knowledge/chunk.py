"""Documents cut where their structure suggests: paragraphs, then sentences, clauses and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

CHUNK_TOKENS = 200
"""Fits MiniLM's window of 256 tokens, with room for a title."""
LONGEST_TOKEN = 8
"""Bytes per token at which a text counts as full whatever the tokenizer says: MiniLM takes any word of over 100
characters, such as a base64 blob, for one unknown token. Prose has four to five.

Other models have other tokenizers, none of which makes more tokens than there are bytes. So a chunk of 1,600 bytes fits
a window of 2,048 tokens (Gemini, nomic-embed-text; OpenAI's has 8,191) in any script.
"""

# The library recurses once for each distinct run of white space (1, 2, 3, … spaces) around a piece too
# long. One kind of space and one of line end, in blocks of this many characters, keep that under 500.
_BLOCK = re.compile(r".{1,50000}(?!\S)|.{1,50000}", re.DOTALL)
_OTHER_SPACE = re.compile(r"[^\S\n]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text` is the document's [start:end], in characters."""

    ordinal: int
    start: int
    end: int
    text: str


def split(text: str, count: Callable[[str], int], tokens: int = CHUNK_TOKENS) -> list[Chunk]:
    """Chunks of at most `tokens` by `count`, in order, that together hold all but white space.

    No single character may count for more than `tokens`.
    """
    spans = [
        (at + start, at + end)
        for at, block in blocks(text)
        for start, end in cut(block, count, tokens)
    ]
    return [Chunk(n, start, end, text[start:end]) for n, (start, end) in enumerate(spans)]


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that are cut one by one, each with the place where it begins."""
    return ((block.start(), block[0]) for block in _BLOCK.finditer(text))


def cut(
    block: str, count: Callable[[str], int], tokens: int = CHUNK_TOKENS
) -> Iterator[tuple[int, int]]:
    """Where the chunks of a block begin and end."""
    # Imported here, so that only a process that cuts texts pays for it.
    from semchunk.semchunk import chunk  # noqa: PLC0415

    plain = _OTHER_SPACE.sub(" ", block.replace("\r", "\n"))
    # Memoizing would keep every counter and every counted text until the process ends.
    found = chunk(plain, tokens, _bounded(count, tokens), memoize=False, offsets=True)
    _, offsets = cast(tuple[list[str], list[tuple[int, int]]], found)
    return iter(offsets)


def _bounded(count: Callable[[str], int], tokens: int) -> Callable[[str], int]:
    """`count`, and at least a token for every `LONGEST_TOKEN` bytes. No long text is ever tokenized whole."""
    longest = tokens * LONGEST_TOKEN

    def count_bounded(text: str) -> int:
        size = len(text.encode(errors="surrogatepass"))
        least = -(-size // LONGEST_TOKEN)
        return max(count(text), least) if size <= longest else least

    return count_bounded
