"""The smallest valid chat of each provider, and where it goes."""

from __future__ import annotations

from typing import Any

PATHS = {
    "openai": "/openai/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
    "gemini": "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
    "ollama": "/ollama/api/chat",
}
STREAM_PATHS = PATHS | {
    "gemini": "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
}


def chat_body(provider: str, text: str, *, stream: bool = False) -> dict[str, Any]:
    """A request's body; Gemini asks for a stream by its path instead."""
    if provider == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
    return body | ({"max_tokens": 200} if provider == "anthropic" else {})
