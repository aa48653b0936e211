"""Embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from struct import pack

from factory.errors import InvalidInput
from factory.simulator.answer import count_tokens
from factory.simulator.provider import Call, Reply
from factory.simulator.providers.openai.faults import refuse_unknown, require
from factory.simulator.vector import embed_text

_MOST_TEXTS = 2048
_MOST_TOKENS = 300_000
_DIMENSIONS = {"text-embedding-3-large": 3072}


def reply_embeddings(call: Call) -> Reply:
    """POST /v1/embeddings, of one text or several, as floats or base64."""
    body = call.body
    require(call, "model")
    require(call, "input")
    refuse_unknown(call)
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    tokens = sum(count_tokens(str(text)) for text in texts)
    _refuse_too_much(texts, tokens)
    dimensions = body.get("dimensions") or _DIMENSIONS.get(call.model, 1536)
    vectors = [embed_text(str(text), dimensions) for text in texts]
    encode = _encode_base64 if body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Reply.whole(
        {"object": "list", "data": data, "model": call.model, "usage": usage}, tokens
    )


def _refuse_too_much(texts: Sequence[object], tokens: int) -> None:
    if len(texts) > _MOST_TEXTS:
        raise InvalidInput(
            f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_TEXTS}, "
            f"but got an array with length {len(texts)} instead.",
            param="input",
        )
    if any(not text for text in texts):
        raise InvalidInput("'$.input' is invalid.", param="input")
    if tokens > _MOST_TOKENS:
        raise InvalidInput(
            f"Requested {tokens} tokens, max {_MOST_TOKENS} tokens per request", param="input"
        )


def _encode_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats."""
    return b64encode(pack(f"<{len(vector)}f", *vector)).decode()
