"""Google's Gemini, with a key of AI Studio. https://ai.google.dev/api"""

from __future__ import annotations

from factory.providers.provider import (
    BaseUrl,
    Chat,
    Embeddings,
    Failures,
    Key,
    Provider,
    Simulated,
)

PROVIDER = Provider(
    name="gemini",
    title="Gemini",
    key=Key("GOOGLE_API_KEY", header="x-goog-api-key", scheme="", owner="Google", begins=("AIza",)),
    base_url=BaseUrl(
        "GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com",
        "Where `gemini/…` answers, without a version.",
        slip=(
            "https://generativelanguage.googleapis.com/v1beta",
            "must end before /v1beta, which is added",
        ),
    ),
    chat=Chat("gemini", "/v1beta/models/{model}:generateContent", litellm="gemini"),
    # "BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
    embeddings=Embeddings("gemini", "/v1beta/models/{model}:batchEmbedContents", most_texts=100),
    failures=Failures(
        wrong_key=frozenset({"API_KEY_INVALID"}),
        too_long_words=("input token count.*exceeds",),
    ),
    simulated=Simulated("/gemini", "gemini/gemini-2.5-flash"),
    domain="googleapis.com",
    usual=True,
    rank=30,
)
