"""How a completion is shown: the messages that it was given, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factory.domain.message import Completion


def shown_input(job_input: Mapping[str, Any]) -> Any:
    """Its messages."""
    return job_input.get("messages", job_input)


def answer_json(completion: Completion) -> dict[str, Any]:
    """The result of a completion job."""
    return {
        "text": completion.text,
        "parsed": completion.parsed,
        "finish_reason": completion.finish_reason,
        "refusal": completion.refusal,
        "provider": completion.provider,
        "model": completion.model,
    }
