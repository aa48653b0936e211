"""Any one server that speaks as OpenAI does: vLLM, LM Studio, llama.cpp, TGI, or OpenRouter, Groq and the like.

What its owner serves only the owner knows, so any model is taken and no price is known.
"""

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
    name="openai-compatible",
    title="OpenAI-compatible",
    key=Key("OPENAI_COMPATIBLE_API_KEY", needed=False),
    base_url=BaseUrl(
        "OPENAI_COMPATIBLE_BASE_URL",
        None,
        "Where `openai-compatible/…` answers, with its version: `http://vllm:8000/v1`, `https://openrouter.ai/api/v1`.",
    ),
    chat=Chat("openai", "/chat/completions", litellm="openai_like"),
    # Servers of Hugging Face take 32 texts unless they are told otherwise (`--max-client-batch-size`).
    embeddings=Embeddings("openai", "/embeddings", most_texts=32, most_tokens=30_000),
    failures=Failures(
        # OpenRouter: "requires more credits", "Insufficient credits".
        no_credit_statuses=frozenset({402}),
        # Groq: the flex tier has no capacity.
        overloaded_statuses=frozenset({498}),
        too_long_words=(
            # vLLM: https://github.com/vllm-project/vllm/issues/12165
            "too long to fit into the model",
            "longer than the maximum model length",
            # LM Studio: https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/546
            "tokens when (?:the )?context (?:the )?overflows",
            "is greater than the context length",
            # Text Generation Inference, and that for embeddings.
            r"max_new_tokens. must be",
            r"must have less than \d+ tokens",
        ),
        # OpenRouter: 403, as for a key.
        filtered_words=("requires moderation", "input was flagged"),
        # Groq: https://console.groq.com/docs/structured-outputs
        spoiled=frozenset({"json_validate_failed", "tool_use_failed"}),
        # LM Studio: https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2085
        missing_words=("unexpected endpoint or method", "no models loaded"),
    ),
    simulated=Simulated(
        "/openai-compatible/v1", "openai-compatible/meta-llama/Llama-3.1-8B-Instruct"
    ),
    any_model=True,
)
