"""Answers as the four providers send them, with every field that touches text, reason, usage or cost."""

from __future__ import annotations

from typing import Any

import orjson

TEXT = "A queue is a line where work waits its turn."


def openai(text: str = TEXT, finish: str = "stop", cached: int = 0, prompt: int = 2100) -> Any:
    return {
        "id": "chatcmpl-BxJ1",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": 345,
            "total_tokens": prompt + 345,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 128,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_560af6e559",
    }


def anthropic(
    text: str = TEXT, stop: str = "end_turn", cached: int = 0, written: int = 0, fresh: int = 2100
) -> Any:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": fresh,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": 345,
            "service_tier": "standard",
        },
    }


def gemini(text: str = TEXT, finish: str = "STOP", cached: int = 0, prompt: int = 2100) -> Any:
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": 217,
        "thoughtsTokenCount": 128,
        "totalTokenCount": prompt + 345,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if cached:
        usage["cachedContentTokenCount"] = cached
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": cached}]
    return {
        "candidates": [
            {
                "content": {"parts": [{"text": text}], "role": "model"},
                "finishReason": finish,
                "index": 0,
            }
        ],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "mY8kaZ-0B5Cu",
    }


def ollama(text: str = TEXT, done: str = "stop") -> Any:
    return {
        "model": "llama3.2",
        "created_at": "2026-11-25T01:00:00.000000Z",
        "message": {"role": "assistant", "content": text},
        "done_reason": done,
        "done": True,
        "total_duration": 4883583458,
        "load_duration": 1334875,
        "prompt_eval_count": 2100,
        "prompt_eval_duration": 342546000,
        "eval_count": 345,
        "eval_duration": 4535599000,
    }


def as_bytes(answer: Any) -> bytes:
    """The body of an answer."""
    return orjson.dumps(answer)
