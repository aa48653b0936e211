"""embedContent and its batch. https://ai.google.dev/api/embeddings"""

from __future__ import annotations

from typing import Any

from factory.errors import InvalidInput
from factory.simulator.answer import count_tokens, join_text
from factory.simulator.provider import Call, Reply
from factory.simulator.providers.gemini.faults import refuse_unknown
from factory.simulator.providers.gemini.field import get_field
from factory.simulator.vector import embed_text

_MOST_REQUESTS = 100
_DIMENSIONS = {"gemini-embedding-001": 3072}


def reply_embed(call: Call) -> Reply:
    """POST models/{model}:embedContent."""
    refuse_unknown(call, "embedContent")
    text, vector = _embed(call, call.body)
    return Reply.whole({"embedding": {"values": vector}}, count_tokens(text))


def reply_embed_batch(call: Call) -> Reply:
    """POST models/{model}:batchEmbedContents."""
    refuse_unknown(call, "batchEmbedContents")
    requests = call.body.get("requests") or ()
    if len(requests) > _MOST_REQUESTS:
        raise InvalidInput(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n",
            param="requests",
        )
    pairs = [_embed(call, request) for request in requests]
    if not pairs:
        raise InvalidInput(
            "* BatchEmbedContentsRequest.requests: requests is not specified\n", param="requests"
        )
    tokens = sum(count_tokens(text) for text, _ in pairs)
    return Reply.whole({"embeddings": [{"values": vector} for _, vector in pairs]}, tokens)


def _embed(call: Call, request: Any) -> tuple[str, list[float]]:
    if not request.get("content"):
        raise InvalidInput(
            "* EmbedContentRequest.content: content is not specified\n", param="content"
        )
    text = join_text(request["content"])
    dimensions = get_field(request, "outputDimensionality") or _DIMENSIONS.get(call.model, 768)
    return text, embed_text(text, dimensions)
