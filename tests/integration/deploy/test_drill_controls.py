"""A drill that cannot fail proves nothing: each kind of loss, made on purpose, is counted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy.drills.archived import ArchivedServer, archived_server, wait_s
from deploy.drills.load import submitting
from deploy.drills.platform import Platform, answers, running_platform, start_gateway
from deploy.drills.scenarios.dropped_database import drop_and_restore
from deploy.drills.stage import Stage, until
from tests.integration.deploy.tools import TOOLS


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The ground of a drill."""

    stage: Stage
    server: ArchivedServer
    platform: Platform


@pytest.fixture
def rehearsal(tmp_path: Path, redis_url: str) -> Iterator[Rehearsal]:
    stage = Stage(tmp_path, TOOLS, quick=True)
    with ExitStack() as stack:
        server = stack.enter_context(archived_server(stage))
        provider = stack.enter_context(stage.provider())
        platform = running_platform(stage, server.url, redis_url, provider)
        yield Rehearsal(stage, server, stack.enter_context(platform))


def test_what_a_backup_without_its_log_loses_is_counted(rehearsal: Rehearsal) -> None:
    found = drop_and_restore(rehearsal.stage, rehearsal.server, rehearsal.platform, with_log=False)
    assert 0 < found.lost < found.counted
    assert found.rpo_s > 1.0
    assert not found.passed


def test_requests_that_fail_while_a_gateway_is_replaced_are_counted(rehearsal: Rehearsal) -> None:
    """Nothing takes it out of the balance before."""
    platform = rehearsal.platform
    with submitting(replace(platform.clients, patient=False)) as load:
        wait_s(1.0)
        [gateway] = platform.gateways
        gateway.process.end(((signal.SIGTERM, 60.0),))
        after = time.monotonic()
        until(lambda: load.failures)
        new = start_gateway(platform.rig, gateway.port)
        until(lambda: answers(new) and load.since(after))
    assert load.failures
