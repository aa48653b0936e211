"""Every kind of bad answer from every provider, over its real wire: what becomes of the job, what it costs, and
that no secret and no address is found anywhere afterwards.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from factory.domain.state import State
from factory.log import configure_logging
from factory.services import Services
from factory.simulator.odd import ODDITIES
from factory.store.jobs import JobView
from tests.integration.pipeline.bench import Bench, script
from tests.integration.pipeline.receiver import Receiver
from tests.integration.store.samples import ask

OWN_SERVER = "openai-compatible"
MODELS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama/llama3.2",
    "mistral": "mistral/mistral-small-latest",
    OWN_SERVER: f"{OWN_SERVER}/some-model",
}
KEYS = {
    "openai_api_key": "marked-openai-0123456789",
    "anthropic_api_key": "marked-anthropic-0123456789",
    "google_api_key": "marked-google-0123456789",
    "mistral_api_key": "marked-mistral-0123456789",
    "openai_compatible_api_key": "marked-own-server-0123456789",
    "secret_key": "marked-secret-0123456789-0123456789",
}
SCHEMA = {"type": "object"}
ANSWERED = "answered"
JSON_ODDITIES = ("bigint", "nan", "cut-json", "wrong-json", "refusal", "blocked")
"""Asked for with a schema, the others without."""
KEPT = {"no-usage", "null-usage", "part-usage", "negative-usage", "float-usage", "huge-usage"}
ENDS = {
    **dict.fromkeys((*KEPT, "cached-above", "surrogate", "nul", "bad-utf8"), ANSWERED),
    **dict.fromkeys(("parts", "bigint", "nan", "bom", "long"), ANSWERED),
    "refusal": "output_refused",
    "blocked": "output_refused",
    "cut-json": "output_cut",
    "wrong-json": "invalid_output",
    "empty": "provider_cut_off",
    "html": "provider_cut_off",
    "error-502": "provider_unavailable",
    "error-text": "provider_unavailable",
    "gzip-bomb": "answer_too_large",
    "long-header": "provider_cut_off",
    "echo-200": "provider_unavailable",
    "echo-401": "provider_auth_failed",
    "echo-500": "provider_unavailable",
}
"""The error that a job's only attempt ends with. `error-429` waits instead."""
UNKNOWN = KEPT | {"cached-above", "html", "gzip-bomb", "long-header"}
"""What leaves unknown spend, but for Ollama's, which is free."""
UNPAID = {"error-502", "error-text", "echo-200", "echo-401", "echo-500"}
"""What costs nothing anywhere. Of one's own server, which has no price, all else leaves unknown spend."""


@dataclass(frozen=True)
class Run:
    """All jobs once they have been run, and what was seen outside."""

    services: Services
    jobs: dict[tuple[str, str], JobView]
    receiver: Receiver
    log: str


@pytest.fixture
def marked(bench: Bench) -> Iterator[Bench]:
    url = bench.simulator.url
    changed = {
        **KEYS,
        "log_level": "DEBUG",
        "mistral_base_url": f"{url}/mistral/v1",
        "openai_compatible_base_url": f"{url}/{OWN_SERVER}/v1",
    }
    settings = bench.services.settings.model_copy(update=changed)
    with asyncio.Runner() as runner:
        marked = Bench(
            replace(bench.services, settings=settings), bench.catalog, bench.simulator, runner
        )
        yield marked
        marked.close()


@pytest.fixture
def run(marked: Bench, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a job for each provider and oddity, and then their webhooks."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(marked.services.settings, "worker")
    try:
        ids = {
            (provider, odd): marked.submit(**_request(provider, odd, receiver))
            for provider in MODELS
            for odd in ODDITIES
        }
        worker = marked.worker()
        marked.execute(*ids.values(), worker=worker)
        marked.execute(*_webhooks(marked.services), worker=worker)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    jobs = {case: marked.view(job_id) for case, job_id in ids.items()}
    return Run(marked.services, jobs, receiver, capsys.readouterr().err)


def _request(provider: str, odd: str, receiver: Receiver) -> dict[str, Any]:
    params = {"json_schema": SCHEMA} if odd in JSON_ODDITIES else {}
    return {
        "model": MODELS[provider],
        "input": script(f"odd={odd}"),
        "max_attempts": 1,
        "params": params,
        "webhook": {"url": receiver.url},
    }


def _webhooks(services: Services) -> list[UUID]:
    return [row.id for row in ask(services, "SELECT id FROM jobs WHERE kind = 'webhook'")]


def test_every_bad_answer_ends_its_job_as_it_should_and_tells_no_secret(run: Run) -> None:
    wrong = [
        f"{provider} {odd}: {job.state} {job.error} {job.cost_micros} {job.unknown_calls}"
        for (provider, odd), job in run.jobs.items()
        if not _is_right(provider, odd, job)
    ]
    assert wrong == []
    told = [received.body.decode() for received in run.receiver.received]
    assert len(told) == sum(job.state.terminal for job in run.jobs.values())
    places = {
        "log": run.log,
        "webhooks": "\n".join(told),
        "redis": _everything_in_redis(run.services),
        **_everything_in_postgres(run.services),
    }
    found = [
        f"{secret} in {place}"
        for place, text in places.items()
        for secret in (*KEYS.values(), "10.1.2.3")
        if secret in text and not (place == "log" and secret == "10.1.2.3")
    ]
    assert found == []
    assert "Traceback" not in run.log


def _is_right(provider: str, odd: str, job: JobView) -> bool:
    if odd == "error-429":
        return (job.state, job.deferrals) == (State.QUEUED, 1)
    end = ENDS[odd]
    if provider == "ollama" and odd in ("refusal", "blocked"):
        end = "invalid_output"  # it has no word for either
    unknown = odd in UNKNOWN and provider != "ollama"
    if provider == OWN_SERVER:
        unknown = odd not in UNPAID
    if (job.cost_micros is None, job.unknown_calls) != (unknown, int(unknown)):
        return False
    if end == ANSWERED:
        return job.state is State.SUCCEEDED
    return job.state is State.FAILED and (job.error or {})["type"] == end


def _everything_in_postgres(services: Services) -> dict[str, str]:
    """Every row of every table, as text."""
    tables = ask(
        services, "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
    )
    return {
        table.name: "\n".join(
            row.text for row in ask(services, f'SELECT t::text AS text FROM "{table.name}" t')
        )
        for table in tables
    }


def _everything_in_redis(services: Services) -> str:
    keys = services.redis.keys("*")
    return "\n".join(repr((key, services.redis.dump(key))) for key in keys)


def test_a_refusal_shows_its_text_and_reason(bench: Bench) -> None:
    plain = bench.finished(input=script("odd=refusal"))
    assert plain.state is State.SUCCEEDED
    assert plain.output["refusal"] == "I cannot help with that."
    in_json = bench.finished(input=script("odd=refusal"), params={"json_schema": SCHEMA})
    assert in_json.error is not None
    assert in_json.error["finish_reason"] == "stop"
    assert in_json.error["refusal"] == "I cannot help with that."
    assert not in_json.error["retryable"]
    assert (in_json.cost_micros or 0) > 0


def test_json_that_was_cut_is_shown_and_not_asked_for_again(bench: Bench) -> None:
    job = bench.finished(input=script("odd=cut-json"), params={"json_schema": SCHEMA})
    assert job.error is not None
    assert (job.state, job.error["type"]) == (State.FAILED, "output_cut")
    assert (job.error["finish_reason"], job.error["text"]) == ("length", '{"answer": "It is')
    assert (job.cost_micros or 0) > 0


@pytest.mark.parametrize(("odd", "reason"), [("refusal", "refused"), ("cut-json", "cut")])
def test_a_fallback_that_asks_for_it_answers_for_a_refusal(
    bench: Bench, odd: str, reason: str
) -> None:
    bench.simulator.replace_scripts({"openai": f"odd={odd}"})
    request: dict[str, Any] = {"fallbacks": [MODELS["anthropic"]]}
    params: dict[str, Any] = {"json_schema": SCHEMA}
    refused = bench.finished(**request, params=params)
    assert refused.state is State.FAILED
    answered = bench.finished(**request, params=params, fallback_on=[reason])
    assert answered.state is State.SUCCEEDED
    assert answered.output["provider"] == "anthropic"
    assert answered.cost_micros is not None
    assert answered.cost_micros > (refused.cost_micros or 0)


def test_a_model_is_not_paid_to_refuse_twice(bench: Bench) -> None:
    bench.simulator.replace_scripts({"openai": "odd=refusal", "anthropic": "status=503 times=1"})
    job_id = bench.submit(
        fallbacks=[MODELS["anthropic"]],
        fallback_on=["refused"],
        params={"json_schema": SCHEMA},
    )
    bench.execute(job_id)
    assert bench.view(job_id).state is State.QUEUED
    assert bench.calls(job_id) == 2
    bench.make_due(job_id)
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED
    assert bench.calls(job_id) == 3


def test_a_webhook_that_would_be_too_large_goes_without_its_result(
    bench: Bench, receiver: Receiver
) -> None:
    settings = bench.services.settings.model_copy(update={"webhook_max_bytes": 4096})
    with asyncio.Runner() as runner:
        small = Bench(
            replace(bench.services, settings=settings), bench.catalog, bench.simulator, runner
        )
        small.finished(input=script("odd=long"), webhook={"url": receiver.url})
        small.execute(*_webhooks(bench.services))
        small.close()
    [received] = receiver.received
    assert len(received.body) <= 4096
    told = json.loads(received.body)["data"]
    assert (told["state"], told["result"], told["result_omitted"]) == ("succeeded", None, True)
