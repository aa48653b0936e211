"""A real language model on this machine does a real job: few-shot, held to a JSON schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.validate.servers import free_port
from tests.acceptance.stack import eventually, running_stack

MODEL = "local/gemma3-270m"
SHOTS = """Review: The soup was cold and the waiter was rude.
Sentiment: {"sentiment": "negative"}
Review: Wonderful food, we will come back!
Sentiment: {"sentiment": "positive"}
Review: The best evening in years, everything was perfect.
Sentiment: {"sentiment": "positive"}
Review: We waited two hours and the fish was spoiled.
Sentiment: {"sentiment": "negative"}
"""
SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}
REVIEWS = {
    "Terrible, the meat was raw and everyone was rude.": "negative",
    "Wonderful, perfect food and the best service!": "positive",
}


@pytest.fixture
def model_url(tmp_path: Path) -> Iterator[str]:
    """Where llama.cpp serves the model, on loopback."""
    pytest.importorskip("xllamacpp")
    port = free_port()
    command = [sys.executable, "-m", "factory.embedded.local_llm", "--port", str(port)]
    with (tmp_path / "llm.log").open("wb") as log:
        process = subprocess.Popen([*command, "--directory", str(tmp_path)], stdout=log, stderr=log)
    try:
        eventually(lambda: _healthy(port), within_s=180)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.local_llm
def test_a_few_shot_job_with_a_schema_is_answered_by_a_real_model(
    model_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_LLM_BASE_URL", model_url)
    with running_stack(tmp_path, "--no-flower") as stack:
        for review, sentiment in REVIEWS.items():
            prompt = f"{SHOTS}Review: {review}\nSentiment:"
            params = {"json_schema": SCHEMA, "temperature": 0, "max_tokens": 20}
            job = stack.ended(stack.submit(prompt, model=MODEL, params=params)["id"])
            assert job["state"] == "succeeded", job["error"]
            assert job["result"]["parsed"] == {"sentiment": sentiment}
            assert job["usage"]["input_tokens"] > 50
            assert job["cost_usd"] == 0
