"""A simulator for each module, and the client libraries that speak to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import ModuleType

import httpx
import pytest

from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedSimulator]:
    log = tmp_path_factory.mktemp("simulator") / "calls.jsonl"
    with running_simulator(SimulatorConfig(log)) as running:
        yield running


@pytest.fixture(scope="module")
def http(simulator: HostedSimulator) -> Iterator[httpx.Client]:
    """Plain HTTP with every provider's key."""
    headers = {
        "Authorization": "Bearer k",
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
        "x-goog-api-key": "k",
    }
    with httpx.Client(
        base_url=simulator.url, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


@pytest.fixture(scope="session")
def litellm() -> ModuleType:
    """LiteLLM with its own price list; it would fetch another over the network."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    return litellm
