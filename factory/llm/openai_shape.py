"""Converts between our values and OpenAI's shape, from and to which LiteLLM translates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from factory.domain.message import Completion, Params
from factory.errors import InvalidOutput, OutputCut, OutputRefused, UnusableOutput
from factory.llm.saying import LENGTH
from factory.llm.strict import is_strict


def openai_params(params: Params) -> dict[str, Any]:
    """The parameters that are set, by OpenAI's names. The timeout is ours and is not sent."""
    schema = params.json_schema
    wanted = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
        "seed": params.seed,
        "stop": list(params.stop) or None,
        "response_format": None if schema is None else _response_format(schema),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {"name": "answer", "schema": dict(schema), "strict": is_strict(schema)}
    return {"type": "json_schema", "json_schema": wanted}


async def fit_schema(completion: Completion, parse: Callable[[str], Awaitable[Any]]) -> Completion:
    """`completion` with its text parsed. Raises an UnusableOutput, with the paid completion, if it does not fit."""
    try:
        return replace(completion, parsed=await parse(completion.text))
    except InvalidOutput as error:
        raise unusable(completion, error) from None


def unusable(completion: Completion, error: InvalidOutput) -> UnusableOutput:
    """The error for a paid answer that does not fit its schema. Only a plain mismatch is worth another attempt."""
    if completion.refusal is not None:
        return OutputRefused(
            f"{completion.provider} refused to answer: {completion.refusal[:500]}",
            completion=completion,
        )
    if completion.finish_reason == LENGTH:
        return OutputCut(
            f"the answer was cut at its longest length ({completion.usage.output_tokens} tokens) before "
            "its JSON was complete: raise params.max_tokens",
            completion=completion,
        )
    return type(error)(error.message, completion=completion)
