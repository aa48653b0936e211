"""The platform's programs with small workers, all simulated providers, and receivers of webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from tests.integration.reliability.rig import Rig, running_rig


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[HostedSimulator]:
    with running_simulator(SimulatorConfig(log=tmp_path / "calls.log")) as simulator:
        yield simulator


@pytest.fixture
def rig(
    tmp_path: Path, database_url: str, redis_url: str, simulator: HostedSimulator
) -> Iterator[Rig]:
    with running_rig(tmp_path, database_url, redis_url, simulator) as rig:
        rig.services.redis.flushall()
        yield rig
        rig.end_all()
