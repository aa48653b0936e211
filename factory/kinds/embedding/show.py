"""How an embedding is shown: the texts that it was given, and what is searchable after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from factory.llm.catalog import Model
from factory.store.chunks import Place


def shown_input(job_input: Mapping[str, Any]) -> Any:
    """Its texts with their sources."""
    texts = job_input.get("texts")
    return [_text_json(text) for text in texts] if isinstance(texts, list) else job_input


def _text_json(text: Any) -> Any:
    match text:
        case [source, content, *_]:
            return {"source": source, "text": content}
    return text


def summary_json(model: Model, places: Mapping[int, Place]) -> dict[str, Any]:
    """The result: how many pieces of which source were stored."""
    in_order = [places[n] for n in sorted(places)]
    return {
        "model": model.id,
        "dimensions": in_order[0].dimensions if in_order else 0,
        "chunks": len(in_order),
        "sources": dict(Counter(place.source for place in in_order)),
    }
