"""A provider for the platforms that run behind what is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.script import Latency


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[HostedSimulator]:
    config = SimulatorConfig(log=tmp_path / "calls.log", latency=Latency(50, 400))
    with running_simulator(config) as simulator:
        yield simulator
