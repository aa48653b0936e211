from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.knowledge.chunk import LONGEST_TOKEN, Chunk, split


def count_words(text: str) -> int:
    return len(text.split())


COUNTERS = [count_words, len]

# Letters, marks that semchunk cuts at, and every sort of white space.
texts = st.text(st.sampled_from("abé文.,;:!?()[]\"'`*—…/\\–&- \n\r\t\v\f\x1c\x85\u2003\u2028"))


def words_of(chunks: list[Chunk]) -> str:
    return "".join("".join(chunk.text.split()) for chunk in chunks)


@given(st.one_of(texts, st.text()), st.integers(1, 12), st.sampled_from(COUNTERS))
def test_chunks_are_exact_pieces_of_the_text_in_order_and_lose_nothing(text, tokens, count):
    chunks = split(text, count, tokens)
    end = 0
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert end <= chunk.start < chunk.end <= len(text)
        assert text[chunk.start : chunk.end] == chunk.text
        end = chunk.end
    assert words_of(chunks) == "".join(text.split())


@given(st.one_of(texts, st.text()), st.integers(1, 12), st.sampled_from(COUNTERS))
def test_no_chunk_is_above_the_limit_or_blank(text, tokens, count):
    for chunk in split(text, count, tokens):
        assert 0 < count(chunk.text) <= tokens
        assert not chunk.text.isspace()


@pytest.mark.parametrize("blank", ["", " ", "\n\t \r\n"])
def test_a_blank_text_has_no_chunks(blank):
    assert split(blank, count_words) == []


def test_a_short_text_is_one_chunk():
    assert split("One sentence.", count_words) == [Chunk(0, 0, 13, "One sentence.")]


def test_a_text_is_cut_between_paragraphs_before_it_is_cut_inside_one():
    text = "one two three\n\nfour five six\n\nseven eight nine"
    assert [chunk.text for chunk in split(text, count_words, 4)] == text.split("\n\n")


def test_a_paragraph_is_cut_between_sentences_before_it_is_cut_inside_one():
    text = "One two three. Four five six. Seven eight nine."
    assert [chunk.text for chunk in split(text, count_words, 4)] == [
        "One two three.",
        "Four five six.",
        "Seven eight nine.",
    ]


def test_a_word_without_end_is_cut_by_its_length():
    chunks = split("x" * 100_000, count_words, 10)
    assert words_of(chunks) == "x" * 100_000
    assert max(len(chunk.text) for chunk in chunks) <= 10 * LONGEST_TOKEN


@pytest.mark.parametrize("character", ["x", "é", "汉", "🜁", "\U00013000", "\u0301", "\ud800"])
def test_a_chunk_fits_the_window_of_every_model_whatever_its_tokenizer(character):
    """None makes more tokens than there are bytes; Gemini takes 2,048 of them and OpenAI 8,191."""
    chunks = split(character * 20_000, lambda _: 1)
    assert words_of(chunks) == character * 20_000
    assert max(len(chunk.text.encode(errors="surrogatepass")) for chunk in chunks) <= 1600


def test_a_text_of_many_blocks_loses_nothing_between_them():
    text = " ".join(f"word{number}" for number in range(30_000))
    chunks = split(text, count_words, 50)
    assert words_of(chunks) == text.replace(" ", "")
    assert max(count_words(chunk.text) for chunk in chunks) <= 50


# Each run of white space differs from every other: one level of recursion for each, if let.
GROWING = "".join("x" + " " * length for length in range(1, 1200))
MIXED = "".join("x" + "".join(run) for run in product("\r\n", repeat=11))
EXOTIC = "".join("x" + "".join(run) for run in product("\v\f\x85\u2000\u2028\u3000", repeat=4))


@pytest.mark.parametrize("text", [GROWING, MIXED, EXOTIC], ids=["growing", "mixed", "exotic"])
def test_no_play_with_white_space_exhausts_the_stack(text):
    assert words_of(split(text, count_words, 3)) == "".join(text.split())
