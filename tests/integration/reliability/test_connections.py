"""Connections to Postgres and Redis break in each way that there is: no program restarts, no call is repeated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import SOCKET_NAME, EmbeddedValkey
from factory.simulator import SimulatorConfig, running_simulator
from factory.store.migrate import upgrade
from tests.integration.reliability.proxy import Direction, Loss, Proxy, running_proxy
from tests.integration.reliability.rig import Rig, eventually, running_rig
from tests.integration.reliability.urls import postgres_socket

FAULT_S = 2.0
LONG_FAULT_S = 13.0
"""Long enough for pauses between attempts to grow."""
RECOVERS_S = 90.0
"""Generous: how soon it is, the faults `connections_…` measure. A half-open connection alone takes 15 s."""
ANSWERS_S = 20.0
"""A request that waits for who is away has no answer for as long as that is so."""
SLOTS = 20
BODY = {"model": "openai/gpt-4o-mini", "input": "Why?"}

FAULTS: dict[str, Callable[[Proxy], None]] = {
    "refused": Proxy.refuse,
    "reset": Proxy.reset,
    "rejected": Proxy.reject,
    "black hole": Proxy.swallow,
    "one way up": lambda proxy: proxy.swallow(frozenset({Direction.UP})),
    "one way down": lambda proxy: proxy.swallow(frozenset({Direction.DOWN})),
    "slow": lambda proxy: proxy.delay(0.3),
    "half-closed": Proxy.half_close,
    "half-open": Proxy.strand,
}
AWAY = ("refused", "rejected", "black hole")
"""While these last, nobody gets an answer."""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation whose programs reach their servers through proxies."""

    rig: Rig
    client: httpx.Client
    proxies: dict[str, Proxy]

    def pids(self) -> set[int]:
        return {program.pid for program in self.rig.programs if program.running}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("site")
    postgres, valkey = EmbeddedPostgres(place / "postgres"), EmbeddedValkey(place / "valkey")
    with ExitStack() as stack:
        stack.callback(postgres.stop)
        stack.callback(valkey.stop)
        postgres_url = postgres.start()
        valkey.start()
        upgrade(postgres_url)
        proxies = {
            "postgres": stack.enter_context(running_proxy(postgres_socket(postgres_url))),
            "redis": stack.enter_context(running_proxy(valkey.directory / SOCKET_NAME)),
        }
        simulator = stack.enter_context(running_simulator(SimulatorConfig(log=place / "calls.log")))
        rig = stack.enter_context(
            running_rig(
                place,
                f"postgresql://postgres@127.0.0.1:{proxies['postgres'].port}/postgres",
                f"redis://127.0.0.1:{proxies['redis'].port}/0",
                simulator,
                own_database_url=postgres_url,
            )
        )
        client = stack.enter_context(rig.gateway())
        rig.start_crew(slots=SLOTS)
        yield Site(rig, client, proxies)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_work_goes_on_after(site: Site, server: str, fault: str) -> None:
    rig, proxy, pids = site.rig, site.proxies[server], site.pids()
    job_ids = rig.submit(8, "latency_ms=500..2000")
    eventually(lambda: len(rig.calls_of(job_ids)) >= 4)
    FAULTS[fault](proxy)
    job_ids += rig.submit(8)
    _pass_time(FAULT_S)
    proxy.heal()
    job_ids += rig.submit(8)
    ended = rig.all_ended(job_ids, RECOVERS_S)
    assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
    assert rig.called_once(job_ids)
    assert site.pids() == pids


def test_a_claim_cut_off_before_its_commit_does_not_hold_its_jobs_for_long(site: Site) -> None:
    proxy = site.proxies["postgres"]
    proxy.cut_at(b"COMMIT", Loss.LIMBO, after=b"EXECUTE claim_")
    job_ids = site.rig.submit(8)
    site.rig.all_ended(job_ids, RECOVERS_S)
    assert (proxy.cuts, site.rig.called_once(job_ids)) == (1, True)


def _pass_time(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_work_is_resumed_when_redis_is_back_however_long_it_was_away(
    site: Site,
) -> None:
    proxy = site.proxies["redis"]
    proxy.refuse()
    job_ids = site.rig.submit(4)
    _pass_time(LONG_FAULT_S)
    proxy.heal()
    site.rig.all_ended(job_ids, RECOVERS_S)


@pytest.mark.parametrize("fault", AWAY)
def test_ready_tells_that_postgres_is_away(site: Site, fault: str) -> None:
    proxy = site.proxies["postgres"]
    FAULTS[fault](proxy)
    try:
        # What was found a second ago may still be told.
        eventually(lambda: site.client.get("/ready").status_code == 503, RECOVERS_S)
        started = time.monotonic()
        answer = site.client.get("/ready")
        took_s = time.monotonic() - started
        assert site.client.get("/health").status_code == 200
    finally:
        proxy.heal()
    assert (answer.status_code, took_s < ANSWERS_S) == (503, True)
    assert answer.json()["postgres"]["ok"] is False
    eventually(lambda: site.client.get("/ready").status_code == 200, RECOVERS_S)


@pytest.mark.parametrize("fault", AWAY)
def test_jobs_are_accepted_and_ready_is_told_while_redis_is_away(site: Site, fault: str) -> None:
    proxy = site.proxies["redis"]
    FAULTS[fault](proxy)
    try:
        started = time.monotonic()
        accepted = site.client.post("/api/jobs", json=BODY)
        accepted_s = time.monotonic() - started
        eventually(lambda: not site.client.get("/ready").json()["redis"]["ok"], RECOVERS_S)
        started = time.monotonic()
        answer = site.client.get("/ready")
        ready_s = time.monotonic() - started
    finally:
        proxy.heal()
    assert (accepted.status_code, answer.status_code) == (202, 200)
    assert (accepted_s < ANSWERS_S, ready_s < ANSWERS_S) == (True, True)


@pytest.mark.parametrize("fault", AWAY)
def test_a_request_that_needs_postgres_ends_and_says_so(site: Site, fault: str) -> None:
    proxy = site.proxies["postgres"]
    FAULTS[fault](proxy)
    try:
        answer = site.client.post("/api/jobs", json=BODY)
    finally:
        proxy.heal()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
