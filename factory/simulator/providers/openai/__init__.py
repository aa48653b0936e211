"""OpenAI's wire format. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from factory.simulator.provider import Call, Endpoint, Provider, Reply
from factory.simulator.providers.openai.chat import reply_chat
from factory.simulator.providers.openai.embeddings import reply_embeddings
from factory.simulator.providers.openai.faults import authorize, refuse
from factory.simulator.providers.openai.responses import reply_response

_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "text-embedding-3-small")


def reply_models(_call: Call) -> Reply:
    """GET /v1/models."""
    entry = {"object": "model", "created": 1_700_000_000, "owned_by": "factory-simulator"}
    return Reply.whole(
        {"object": "list", "data": [{"id": model} | entry for model in _MODELS]}, input_tokens=0
    )


PLAYED = (
    Provider(
        name="openai",
        shape="openai",
        endpoints={
            "/v1/chat/completions": Endpoint("chat", reply_chat),
            "/v1/responses": Endpoint("responses", reply_response),
            "/v1/embeddings": Endpoint("embeddings", reply_embeddings),
        },
        listings={"/v1/models": Endpoint("models", reply_models)},
        authorize=authorize,
        refuse=refuse,
        request_id_header="x-request-id",
    ),
)
