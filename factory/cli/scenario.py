"""What the demo submits, and how each job must end."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from factory.domain.lanes import Priority
from factory.domain.state import State
from factory.providers import PROVIDERS

BULK_LABEL = "bulk"
BULK_JOBS = 200
LOCAL_BULK_JOBS = 10
BULK_MODEL = "openai/gpt-4o-mini"
LABEL = "demo"
"""The key in a job's metadata that holds its label."""

COMPLETIONS = tuple(
    (one.title, one.simulated.model) for one in PROVIDERS if one.usual and one.simulated
)
EMBEDDING_LABEL = "embedding"
EMBEDDING_MODEL = "local/all-minilm-l6-v2"
SCHEMA_LABEL = "JSON schema"
FAILING_LABEL = "refused"
PROMPT = "A queue keeps its jobs in a database, because"
"""Worded so that a base model can go on from it."""
QUESTION = "Which database holds the truth about every job?"
REVIEW_SCHEMA = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "neutral", "negative"]},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["sentiment", "score"],
    "additionalProperties": False,
}
MOST_DOCUMENT_CHARS = 12_000
MOST_CHARS = 120_000
"""So many characters are embedded in about four seconds on one core."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """A job of its own, and the state that it must end in."""

    label: str
    body: Body
    ends: State = State.SUCCEEDED


def trials(webhook_url: str, texts: list[Body], chat_model: str | None) -> list[Trial]:
    """All jobs but the bulk. `chat_model` takes the place of every provider's model."""
    tested = (("Local", chat_model),) if chat_model else COMPLETIONS
    model = chat_model or BULK_MODEL
    chosen = [
        Trial(label, {"model": name, "input": PROMPT, "params": {"max_tokens": 64}})
        for label, name in tested
    ]
    chosen += [
        Trial(
            SCHEMA_LABEL,
            {
                "model": model,
                "input": "Rate this review: it worked at once.",
                "params": {"json_schema": REVIEW_SCHEMA},
            },
        ),
        Trial(EMBEDDING_LABEL, {"model": EMBEDDING_MODEL, "input": texts}),
    ]
    if not chat_model:
        # Only the simulator can be told to refuse.
        refused = {"model": model, "input": "{{simulate status=400}} Nobody answers this."}
        chosen.append(Trial(FAILING_LABEL, refused, ends=State.FAILED))
    return [_reported(trial, webhook_url) for trial in chosen]


def bulk_bodies(webhook_url: str, chat_model: str | None) -> list[Body]:
    """The bulk's jobs; a model on this machine, which takes half a second for one, gets fewer."""
    count = LOCAL_BULK_JOBS if chat_model else BULK_JOBS
    return [
        {
            "model": chat_model or BULK_MODEL,
            "input": f"Summarise ticket {number} in one sentence.",
            "priority": Priority.BULK.value,
            "params": {"max_tokens": 32},
            **_report(BULK_LABEL, webhook_url),
        }
        for number in range(1, count + 1)
    ]


def read_documents() -> list[Body]:
    """Real text as {source, text}: this project's documents, or what its package carries of them."""
    root = Path(__file__).parents[2]
    found = [*root.glob("README.md"), *sorted(root.glob("docs/*.md")), *root.glob("LICENSE")]
    texts = [(path.name, path.read_text()[:MOST_DOCUMENT_CHARS]) for path in found]
    if not texts:
        description = metadata("ai-agent-factory")["Description"]
        texts = [("README.md", description[:MOST_DOCUMENT_CHARS])]
    chosen, chars = [], 0
    for source, text in texts:
        chars += len(text)
        if text.strip() and chars <= MOST_CHARS:
            chosen.append({"source": source, "text": text})
    return chosen


def _reported(trial: Trial, webhook_url: str) -> Trial:
    return Trial(trial.label, {**trial.body, **_report(trial.label, webhook_url)}, trial.ends)


def _report(label: str, webhook_url: str) -> Body:
    return {"metadata": {LABEL: label}, "webhook": {"url": webhook_url}}
