"""Each provider's way to say no, and each scripted failure, on the wire."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest

from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.journal import Outcome, Phase
from tests.integration.simulator.requests import PATHS, STREAM_PATHS, chat_body

PROVIDERS = list(PATHS)


def post(http: httpx.Client, provider: str, script: str, job: str | None = None) -> httpx.Response:
    headers = {"x-simulate": script} | ({"x-factory-job": job} if job else {})
    return http.post(PATHS[provider], json=chat_body(provider, "Hello"), headers=headers)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_answer_is_labelled(http: httpx.Client):
    for provider in PROVIDERS:
        answer = http.post(PATHS[provider], json=chat_body(provider, "Hello"))
        assert answer.headers["server"] == "factory-simulator"
        assert answer.headers["x-simulated"] == "true"


@pytest.mark.parametrize(
    ("provider", "status", "kind"),
    [
        ("openai", 401, "invalid_request_error"),
        ("anthropic", 401, "authentication_error"),
        ("gemini", 403, "PERMISSION_DENIED"),
    ],
)
def test_a_call_without_a_key_is_refused(
    simulator: HostedSimulator, provider: str, status: int, kind: str
):
    answer = httpx.post(
        simulator.url + PATHS[provider],
        json=chat_body(provider, "Hello"),
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == status
    assert kind in (answer.json()["error"].get("type"), answer.json()["error"].get("status"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_model_is_not_found(http: httpx.Client, provider: str):
    path = PATHS[provider].replace("gemini-2.5-flash", "m-does-not-exist")
    answer = http.post(path, json=chat_body(provider, "Hello") | {"model": "m-does-not-exist"})
    assert answer.status_code == 404
    assert "m-does-not-exist" in json.dumps(answer.json()["error"])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", ["{}", "[]", "not json"])
def test_a_request_that_lacks_everything_is_a_400_in_the_providers_shape(
    http: httpx.Client, provider: str, body: str
):
    answer = http.post(PATHS[provider], content=body)
    assert answer.status_code == 400
    assert "error" in answer.json()


def test_a_429_carries_each_providers_own_word_on_waiting(http: httpx.Client):
    openai, anthropic, gemini, ollama = (
        post(http, provider, "status=429 retry_after=3") for provider in PROVIDERS
    )
    assert openai.headers["x-ratelimit-reset-requests"] == "3s"
    assert openai.headers["retry-after"] == anthropic.headers["retry-after"] == "3"
    assert anthropic.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert anthropic.json()["error"]["type"] == "rate_limit_error"
    assert gemini.json()["error"]["details"][-1]["retryDelay"] == "3s"
    assert "retry-after" not in gemini.headers
    assert ollama.json() == {"error": "too many requests"}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_scripted_status_ends_after_its_times(http: httpx.Client, provider: str, status: int):
    job = f"{provider}-{status}"
    script = f"status={status} times=2"
    statuses = [post(http, provider, script, job).status_code for _ in range(3)]
    assert statuses == [status, status, 200]


def test_a_directive_in_the_prompt_is_a_script(http: httpx.Client):
    body = chat_body("openai", "Hello {{simulate status=500 times=1}}")
    statuses = [http.post(PATHS["openai"], json=body).status_code for _ in range(2)]
    assert statuses == [500, 200]


def test_a_script_outside_the_grammar_is_refused_and_not_ignored(http: httpx.Client):
    assert post(http, "openai", "sulk").status_code == 400


@pytest.mark.parametrize("provider", PROVIDERS)
def test_garbage_is_200_and_no_json(http: httpx.Client, provider: str):
    body = chat_body(provider, "Hello") | ({"stream": False} if provider == "ollama" else {})
    answer = http.post(PATHS[provider], json=body, headers={"x-simulate": "garbage"})
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_cut_answer_breaks_off_in_the_middle(
    simulator: HostedSimulator, http: httpx.Client, provider: str, streamed: bool
):
    job = f"cut-{provider}-{streamed}"
    headers = {"x-simulate": "cut", "x-factory-job": job}
    path = (STREAM_PATHS if streamed else PATHS)[provider]
    body = chat_body(provider, "Hello", stream=streamed)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        http.post(path, json=body, headers=headers)
    last = simulator.calls(job)[-1]
    assert (last.phase, last.outcome, last.fully_sent) == (Phase.ABORTED, Outcome.CUT, False)
    assert last.output_tokens > 0


def ask_and_go(simulator: HostedSimulator, script: str, job: str) -> None:
    """Hangs up once the call is logged as received, and waits for what is logged then."""
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    headers |= {"x-simulate": script, "x-factory-job": job}
    with closing(HTTPConnection(urlsplit(simulator.url).netloc, timeout=60)) as connection:
        connection.request(
            "POST", PATHS["openai"], json.dumps(chat_body("openai", "Hello")), headers
        )
        wait_for(lambda: len(simulator.calls(job)) == 1)
    wait_for(lambda: len(simulator.calls(job)) == 2)


def test_a_hanging_call_is_logged_before_and_after_the_client_gives_up(
    simulator: HostedSimulator,
):
    ask_and_go(simulator, "hang", "hang")
    received, aborted = simulator.calls("hang")
    assert received.phase is Phase.RECEIVED
    assert (aborted.phase, aborted.outcome) == (Phase.ABORTED, Outcome.HANG)


def test_a_client_that_leaves_during_a_slow_answer_is_seen(
    simulator: HostedSimulator,
):
    ask_and_go(simulator, "latency_ms=60000", "gone")
    assert simulator.calls("gone")[-1].outcome is Outcome.CLIENT_GONE


def test_scripts_in_force_are_put_shown_and_deleted(http: httpx.Client):
    assert http.put("/_simulator/script", json={"ollama": "status=503"}).status_code == 200
    assert http.get("/_simulator/script").json() == {"ollama": "status=503"}
    assert http.post(PATHS["ollama"], json=chat_body("ollama", "Hello")).status_code == 503
    assert http.post(PATHS["openai"], json=chat_body("openai", "Hello")).status_code == 200
    assert http.put("/_simulator/script", json={"acme": "hang"}).status_code == 400
    assert http.delete("/_simulator/script").status_code == 204
    assert http.post(PATHS["ollama"], json=chat_body("ollama", "Hello")).status_code == 200


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_a_body_of_another_shape_is_a_400(http: httpx.Client, provider: str):
    body = chat_body(provider, "Hello") | {"tools": ["hammer"], "tool_choice": {"name": "hammer"}}
    assert http.post(PATHS[provider], json=body).status_code == 400


def test_lists_of_models_obey_scripts_too(http: httpx.Client):
    paths = [
        "/openai/v1/models",
        "/anthropic/v1/models",
        "/gemini/v1beta/models",
        "/ollama/api/tags",
    ]
    assert [http.get(path).status_code for path in paths] == [200] * 4
    failing = {"x-simulate": "status=503"}
    assert [http.get(path, headers=failing).status_code for path in paths] == [503] * 4


def test_a_simulator_stops_promptly_under_a_hanging_call(tmp_path: Path):
    with running_simulator(SimulatorConfig(tmp_path / "calls.jsonl")) as simulator:
        url = simulator.url + PATHS["ollama"]
        body = chat_body("ollama", "Hello {{simulate hang}}")
        thread = Thread(target=lambda: _post_until_cut(url, body), daemon=True)
        thread.start()
        wait_for(lambda: len(simulator.calls()) == 1)
        started = time.monotonic()
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - started < 30


def _post_until_cut(url: str, body: dict[str, object]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(url, json=body, timeout=60, trust_env=False)
