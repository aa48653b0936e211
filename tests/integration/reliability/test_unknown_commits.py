"""A worker's commit lands and its answer is lost: the write is made again, and nothing looks amiss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

import pytest

from factory.config import Settings
from factory.domain.state import State
from factory.llm.catalog import load_catalog
from factory.pipeline.run.execute import Observer, execute
from factory.services import Services, connect
from factory.simulator import HostedSimulator
from factory.store.archive import EVERY_CALL
from tests.integration.pipeline.bench import Bench
from tests.integration.reliability.proxy import Loss, Proxy, running_proxy
from tests.integration.reliability.urls import database_of, postgres_socket
from tests.integration.store.samples import ask, tell, webhooks_of

NOWHERE = "http://127.0.0.1:1024/"
WRITES = {
    "claim": b"EXECUTE claim_",
    "intent": b"EXECUTE open_calls_",
    "answer": b"EXECUTE close_calls_",
    "finish": b"EXECUTE finish_",
    "end in the archive": b"EXECUTE finish_archived_",
}
LIVE_WRITES = ("answer", "finish")
"""Those of a job that does not go straight into the archive."""


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with running_proxy(postgres_socket(database_url)) as proxy:
        yield proxy


@pytest.fixture
def distant(services: Services, proxy: Proxy, simulator: HostedSimulator) -> Iterator[Services]:
    """Services whose way to Postgres is the proxy."""
    name = database_of(services.settings.database_url)
    settings = Settings(
        database_url=f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}",
        redis_url=services.settings.redis_url,
        secret_key=services.settings.secret_key,
        webhook_allow_loopback=True,
        openai_api_key="dummy",
        openai_base_url=f"{simulator.url}/openai/v1",
    )
    connected = connect(settings, "test")
    yield connected
    connected.close()


@pytest.fixture
def bench(distant: Services, simulator: HostedSimulator) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(distant, load_catalog(""), simulator, runner)
        yield bench
        bench.close()


@pytest.mark.parametrize("write", WRITES)
def test_a_commit_of_which_nobody_heard_is_no_stale_lease(
    bench: Bench, services: Services, proxy: Proxy, caplog: pytest.LogCaptureFixture, write: str
) -> None:
    caplog.set_level(logging.WARNING)
    job_id, ended = bench.submit(webhook={"url": NOWHERE}), dict[UUID, State | None]()
    if write == "intent":  # that of a job that was started before
        tell(services, "UPDATE jobs SET started_at = now()")
    if write in LIVE_WRITES:
        tell(services, "UPDATE jobs SET ends_in_archive = NULL")
    worker = bench.worker()
    proxy.cut_at(b"COMMIT", Loss.ANSWER, after=WRITES[write])
    bench.run(
        execute(worker, [job_id], Observer(ended=lambda one, state, _: ended.update({one: state})))
    )
    assert proxy.cuts == 1
    assert "writes wait for Postgres" in caplog.text
    assert "stale" not in caplog.text
    assert ended == {job_id: State.SUCCEEDED}
    assert (bench.view(job_id).attempt, bench.calls(job_id)) == (1, 1)
    assert len(webhooks_of(services, job_id)) == 1
    assert len(ask(services, f"SELECT FROM {EVERY_CALL} c")) == 1
    assert _finished(services) == 1


def _finished(services: Services) -> int:
    rows = ask(services, "SELECT amount FROM counters WHERE metric = 'jobs_finished_total'")
    return sum(row.amount for row in rows)
