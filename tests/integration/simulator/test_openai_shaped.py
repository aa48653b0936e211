"""Providers that answer as OpenAI does, and say no in ways of their own."""

from __future__ import annotations

import httpx
import pytest

from factory.simulator import HostedSimulator
from tests.integration.simulator.requests import chat_body

SERVERS = ("mistral", "openai-compatible", "lm-studio", "openrouter", "groq")


def chat(http: httpx.Client, server: str, text: str = "Hello", **fields: object) -> httpx.Response:
    body = chat_body("openai", text) | fields
    return http.post(f"/{server}/v1/chat/completions", json=body)


@pytest.mark.parametrize("server", SERVERS)
def test_an_answer_has_a_choice_and_counts(http: httpx.Client, server: str) -> None:
    body = chat(http, server).json()
    assert body["choices"][0]["message"]["content"].startswith("[simulated")
    assert body["usage"]["prompt_tokens"] > 0
    assert http.get(f"/{server}/v1/models").json()["data"]


def test_mistral_takes_no_field_that_it_does_not_have(http: httpx.Client) -> None:
    refused = chat(http, "mistral", seed=7)
    assert refused.status_code == 422
    [finding] = refused.json()["message"]["detail"]
    assert (finding["type"], finding["loc"]) == ("extra_forbidden", ["body", "seed"])
    assert chat(http, "mistral", random_seed=7).status_code == 200


def test_lm_studio_answers_200_to_a_path_that_it_does_not_have(http: httpx.Client) -> None:
    found = http.post("/lm-studio/chat/completions", json=chat_body("openai", "Hello"))
    assert found.status_code == 200
    assert "Unexpected endpoint" in found.json()["error"]


@pytest.mark.parametrize("server", ["openrouter", "groq", "mistral"])
def test_hosted_ones_want_a_key(simulator: HostedSimulator, server: str) -> None:
    url = f"{simulator.url}/{server}/v1/chat/completions"
    refused = httpx.post(url, json=chat_body("openai", "Hello"), trust_env=False, timeout=60)
    assert refused.status_code == 401


@pytest.mark.parametrize("server", ["openai-compatible", "lm-studio"])
def test_ones_own_do_not(simulator: HostedSimulator, server: str) -> None:
    url = f"{simulator.url}/{server}/v1/chat/completions"
    assert httpx.post(
        url, json=chat_body("openai", "Hello"), trust_env=False, timeout=60
    ).is_success
