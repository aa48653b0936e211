"""The log is a witness: it outlives the process, and the same seed repeats itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.journal import Outcome, Phase, read_entries
from tests.integration.simulator.requests import PATHS, chat_body

ASK = chat_body("openai", "What is a queue?")
KEY = {"Authorization": "Bearer k"}


@contextmanager
def simulator_process(log: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A simulator from the command line, and its URL."""
    command = [sys.executable, "-m", "factory.simulator", "--log", str(log), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def test_lines_survive_a_kill_right_after_an_answer(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    with simulator_process(log, "--latency-ms", "0") as (process, url):
        jobs = [f"job-{number}" for number in range(20)]
        with httpx.Client(base_url=url, headers=KEY, trust_env=False, timeout=60) as client:
            for job in jobs:
                answer = client.post(PATHS["openai"], json=ASK, headers={"x-factory-job": job})
                assert answer.status_code == 200
            process.kill()
    answered = [entry for entry in read_entries(log) if entry.phase is Phase.ANSWERED]
    assert [entry.job for entry in answered] == jobs


def test_a_run_continues_a_log_whose_last_line_was_torn(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    log.write_bytes(b'{"at": "2026-')
    with running_simulator(SimulatorConfig(log)) as simulator:
        httpx.post(
            simulator.url + PATHS["openai"], json=ASK, headers=KEY, trust_env=False, timeout=60
        )
    assert [entry.phase for entry in read_entries(log)] == [Phase.RECEIVED, Phase.ANSWERED]


def test_scripts_may_come_from_a_file(tmp_path: Path):
    config = tmp_path / "scripts.json"
    config.write_text('{"openai": "status=503"}')
    with simulator_process(tmp_path / "calls.jsonl", "--config", str(config)) as (_, url):
        answer = httpx.post(
            url + PATHS["openai"], json=ASK, headers=KEY, trust_env=False, timeout=60
        )
    assert answer.status_code == 503


def test_a_log_line_says_who_asked_for_what_and_what_it_cost(
    simulator: HostedSimulator, http: httpx.Client
):
    who = {"x-factory-job": "who", "x-factory-step": "draft", "x-factory-attempt": "2"}
    usage = http.post(PATHS["openai"], json=ASK, headers=who).json()["usage"]
    received, answered = simulator.calls("who")
    assert received.call == answered.call
    assert (answered.job, answered.step, answered.attempt) == ("who", "draft", "2")
    assert (answered.provider, answered.endpoint, answered.model) == ("openai", "chat", "m")
    assert (answered.status, answered.outcome, answered.fully_sent) == (200, Outcome.OK, True)
    assert answered.input_tokens == usage["prompt_tokens"]
    assert answered.output_tokens == usage["completion_tokens"]


def test_the_time_between_a_calls_lines_is_its_latency(
    simulator: HostedSimulator, http: httpx.Client
):
    slow = {"x-factory-job": "slow", "x-simulate": "latency_ms=200"}
    http.post(PATHS["openai"], json=ASK, headers=slow)
    received, answered = simulator.calls("slow")
    assert answered.latency_ms == 200
    assert (answered.at - received.at).total_seconds() >= 0.2


def test_calls_are_counted_by_job(http: httpx.Client):
    for script in ("status=500", "latency_ms=0"):
        http.post(
            PATHS["openai"], json=ASK, headers={"x-factory-job": "counted", "x-simulate": script}
        )
    counts = http.get("/_simulator/calls", params={"job": "counted"}).json()["counts"]
    assert counts == {"received": 2, "answered": 2, "status_500": 1, "status_200": 1}
    assert http.get("/_simulator/calls", params={"job": "nobody"}).json()["counts"] == {}


def test_the_same_seed_repeats_itself_and_another_does_not(tmp_path: Path):
    texts = []
    for run, seed in enumerate((1, 1, 2)):
        config = SimulatorConfig(tmp_path / f"{run}.jsonl", seed=seed)
        with running_simulator(config) as simulator:
            answer = httpx.post(
                simulator.url + PATHS["openai"], json=ASK, headers=KEY, trust_env=False, timeout=60
            )
        texts.append(answer.json()["choices"][0]["message"]["content"])
    assert texts[0] == texts[1] != texts[2]
