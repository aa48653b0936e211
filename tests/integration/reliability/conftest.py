"""Servers of a test's own, to be stopped, frozen and cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.services import Services
from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.script import Latency
from factory.store.migrate import upgrade
from tests.integration.reliability import turned_clock

LEASE_S = 4.0
"""Longer than the silence after which a reaper holds."""


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server as durable as in production; it is started by `own_postgres_url` or by the test."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    server.stop()


@pytest.fixture
def own_postgres_url(own_postgres: EmbeddedPostgres) -> str:
    """Running and migrated."""
    url = own_postgres.start()
    upgrade(url)
    return url


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A broker; it is started by `own_valkey_url` or by the test."""
    server = EmbeddedValkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def own_valkey_url(own_valkey: EmbeddedValkey) -> str:
    return own_valkey.start()


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[HostedSimulator]:
    config = SimulatorConfig(log=tmp_path / "calls.log", latency=Latency(50, 400))
    with running_simulator(config) as simulator:
        yield simulator


@pytest.fixture
def hasty(services: Services) -> Services:
    """Leases are short: the seconds that a reaper counts cost a test most of its time. Postgres' clock stands still
    but for `turned_clock.turn`.
    """
    turned_clock.install(services)
    settings = services.settings.model_copy(update={"lease_s": LEASE_S})
    return replace(services, settings=settings)
