"""Google Gemini's wire format. https://ai.google.dev/api"""

from __future__ import annotations

from factory.simulator.provider import Call, Endpoint, Provider, Reply
from factory.simulator.providers.gemini.embeddings import reply_embed, reply_embed_batch
from factory.simulator.providers.gemini.faults import authorize, refuse
from factory.simulator.providers.gemini.generate import reply_generate, reply_stream

_MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001")


def reply_models(_call: Call) -> Reply:
    """GET models."""
    methods = ["generateContent", "embedContent"]
    return Reply.whole(
        {
            "models": [
                {"name": f"models/{model}", "supportedGenerationMethods": methods}
                for model in _MODELS
            ]
        },
        input_tokens=0,
    )


_METHODS = {
    "generateContent": Endpoint("generate", reply_generate),
    "streamGenerateContent": Endpoint("generate", reply_stream),
    "embedContent": Endpoint("embeddings", reply_embed),
    "batchEmbedContents": Endpoint("embeddings", reply_embed_batch),
}
_VERSIONS = ("/v1beta", "/v1", "/v1alpha", "")
"""Clients differ in whether the base URL that they are given holds the version."""

PLAYED = (
    Provider(
        name="gemini",
        shape="gemini",
        endpoints={
            f"{version}/models/{{model}}:{method}": endpoint
            for version in _VERSIONS
            for method, endpoint in _METHODS.items()
        },
        listings={f"{version}/models": Endpoint("models", reply_models) for version in _VERSIONS},
        authorize=authorize,
        refuse=refuse,
        request_id_header="x-request-id",
    ),
)
