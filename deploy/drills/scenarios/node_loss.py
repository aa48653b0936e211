"""A machine is gone: a gateway, a dispatcher and a worker die at one moment, and another machine has as many."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import (
    SLOTS,
    Gateway,
    Platform,
    answers,
    ended_at_once,
    new_key,
    start_gateway,
)
from deploy.drills.stage import Stage, persist, until
from deploy.validate.tools import Unavailable
from factory.domain.principal import PLATFORM
from factory.embedded.child import Child
from factory.store.database import rows
from factory.store.migrate import upgrade
from tests.integration.reliability.rig import Rig, running_rig

LOAD_S = 8.0
LEAST_HELD = 3
"""Calls in flight on the machine that is lost: with one of them it could die between two jobs."""
MACHINE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=SIGKILL")
"""Processes of another machine are not seen: only their leases tell that they died."""
HELD = "SELECT id FROM jobs WHERE state = 'running' AND worker_id = %(worker)s"
WORKERS = "SELECT id FROM workers ORDER BY started_at"


@dataclass(frozen=True, slots=True)
class TwoMachines:
    """The programs of the first one, whose worker was the first to register."""

    platform: Platform
    first: Sequence[Child]


@contextmanager
def two_machines(stage: Stage) -> Iterator[TwoMachines]:
    """Raises Unavailable where the kernel gives none."""
    _demand_namespaces()
    with stage.database() as database_url, stage.broker() as broker, stage.provider() as provider:
        upgrade(database_url)
        with (
            running_rig(stage.directory, database_url, broker.url, provider) as rig,
            ended_at_once(rig),
        ):
            doors = [_start_machine(rig)]
            first = list(rig.programs)
            until(lambda: rig.beating() == 1)
            doors.append(_start_machine(rig))
            until(lambda: rig.beating() == 2 and all(map(answers, doors)))
            yield TwoMachines(Platform(rig, doors, new_key(rig)), first)


GROUND = two_machines
SPENDS_GROUND = True


def drill(stage: Stage, machines: TwoMachines) -> Outcome:
    """RTO: from the loss to the end of the last job that the lost worker held, which waits for a whole lease."""
    platform = machines.platform
    rig = platform.rig
    with submitting(platform.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        until(lambda: len(persist(lambda: _held(rig))) >= LEAST_HELD)
        struck = time.monotonic()
        for program in machines.first:
            program.kill()
        held = persist(lambda: _held(rig))
        assert held, "the lost worker held nothing"
        until(lambda: len(rig.ended(held)) == len(held))
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)


def _demand_namespaces() -> None:
    if not shutil.which("unshare"):
        raise Unavailable("unshare is missing; as root: apt-get install util-linux")
    done = subprocess.run([*MACHINE, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"this kernel gives no namespaces: {done.stderr.strip()}")


def _start_machine(rig: Rig) -> Gateway:
    rig.start("workers.dispatcher", under=MACHINE)
    rig.start("workers.worker", "--slots", SLOTS, under=MACHINE)
    return start_gateway(rig)


def _held(rig: Rig) -> list[UUID]:
    """What the worker that started first holds."""
    with rig.services.database.transaction(PLATFORM) as tx:
        first = rows(tx, WORKERS)[0].id
        return [row.id for row in rows(tx, HELD, {"worker": str(first)})]
