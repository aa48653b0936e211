"""One event loop for all calls of a test, and providers on loopback to call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from factory.config import Settings
from factory.llm.catalog import Catalog, load_catalog
from factory.providers import PROVIDERS
from factory.simulator.hosted import HostedSimulator, running_simulator
from factory.simulator.journal import Phase
from factory.simulator.server import SimulatorConfig
from tests.integration.llm.caller import Caller
from tests.integration.llm.recorder import Recorder, running_recorder


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("")


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with running_recorder() as recorder:
        yield recorder


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[HostedSimulator]:
    with running_simulator(SimulatorConfig(log=tmp_path / "calls.log")) as simulator:
        yield simulator


@pytest.fixture
def make_client(runner: asyncio.Runner) -> Iterator[Callable[[str], Caller]]:
    """A client whose providers all answer below one URL; closed at the end of the test."""
    made: list[Caller] = []

    def make(url: str) -> Caller:
        made.append(Caller(settings_below(url)))
        return made[-1]

    yield make
    for client in made:
        runner.run(client.close())


def settings_below(url: str) -> Settings:
    return Settings(
        database_url="postgresql://nowhere",
        redis_url="redis://nowhere",
        secret_key="k" * 32,
        local_llm_base_url=f"{url}/local/v1",
        **keys(),
        **base_urls(url),
    )


def keys() -> dict[str, str]:
    """`openai_api_key`: `key-openai`, and so on for each provider that has a key."""
    settings = (one.key.setting.lower() for one in PROVIDERS if one.key)
    return {name: f"key-{name.removesuffix('_api_key')}" for name in settings}


def base_urls(url: str) -> dict[str, str]:
    """Where the simulator at `url` plays each provider."""
    simulated = ((one.base_url.setting.lower(), one.simulated) for one in PROVIDERS)
    return {name: url + played.path for name, played in simulated if played}


def count_received(simulator: HostedSimulator, job: str) -> int:
    """How many calls of `job` reached the simulator."""
    return sum(entry.phase is Phase.RECEIVED for entry in simulator.calls(job))
