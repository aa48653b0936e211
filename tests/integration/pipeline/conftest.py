"""A worker's bench: the pipeline's worker over real servers, with simulated providers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.config import Settings
from factory.llm.catalog import Catalog, load_catalog
from factory.services import Services, connect
from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from tests.integration.pipeline.bench import Bench
from tests.integration.pipeline.receiver import Receiver


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("openai/unpriced")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[HostedSimulator]:
    with running_simulator(SimulatorConfig(log=tmp_path / "calls.log")) as simulator:
        yield simulator


@pytest.fixture
def services(database_url: str, redis_url: str, simulator: HostedSimulator) -> Iterator[Services]:
    """Services whose providers are the simulator."""
    url = simulator.url
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key="test-secret-key-of-32-characters!",
        webhook_allow_loopback=True,
        database_pool_size=5,
        openai_api_key="dummy",
        anthropic_api_key="dummy",
        google_api_key="dummy",
        openai_base_url=f"{url}/openai/v1",
        anthropic_base_url=f"{url}/anthropic",
        gemini_base_url=f"{url}/gemini",
        ollama_base_url=f"{url}/ollama",
    )
    connected = connect(settings, "test")
    yield connected
    connected.close()


@pytest.fixture
def bench(services: Services, catalog: Catalog, simulator: HostedSimulator) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(services, catalog, simulator, runner)
        yield bench
        bench.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
