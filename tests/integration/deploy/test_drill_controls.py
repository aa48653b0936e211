"""A drill that cannot fail proves nothing: each kind of loss, made on purpose, is counted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.drills.grounds import Archived, archived_platform
from deploy.drills.load import submitting
from deploy.drills.platform import answers, start_gateway
from deploy.drills.scenarios.dropped_database import drill
from deploy.drills.stage import Stage, until
from tests.integration.deploy.tools import TOOLS

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, TOOLS, quick=True)


@pytest.fixture
def ground(stage: Stage) -> Iterator[Archived]:
    with archived_platform(stage) as running:
        yield running


def test_what_a_backup_without_its_log_loses_is_counted(stage: Stage, ground: Archived) -> None:
    found = drill(stage, ground, with_log=False)
    assert 0 < found.lost < found.counted
    assert found.rpo_s > 1.0
    assert not found.passed


def test_requests_that_fail_while_a_gateway_is_replaced_are_counted(ground: Archived) -> None:
    """Nothing takes it out of the balance before."""
    platform = ground.platform
    with submitting(replace(platform.clients, patient=False)) as load:
        load.go_on(1.0)
        [gateway] = platform.gateways
        gateway.process.end(((signal.SIGTERM, 60.0),))
        after = time.monotonic()
        until(lambda: load.failures)
        new = start_gateway(platform.rig, gateway.port)
        until(lambda: answers(new) and load.since(after))
    found = platform.uninterrupted(load, after, 0.0)
    assert found.lost >= len(load.failures) > 0
    assert not found.passed
