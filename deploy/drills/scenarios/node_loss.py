"""A machine is gone: a gateway, a dispatcher and a worker die at one moment, and another machine has as many."""

from __future__ import annotations

import shutil
import subprocess
import time
from uuid import UUID

from deploy.drills.archived import wait_s
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import SLOTS, Gateway, Platform, answers, new_key, start_gateway
from deploy.drills.stage import Stage, until
from deploy.validate.tools import Unavailable
from factory.embedded.child import Child
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.store.database import rows
from factory.store.migrate import upgrade
from tests.integration.reliability.rig import Rig, running_rig

LOAD_S = 8.0
MACHINE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=SIGKILL")
"""Processes of another machine are not seen: only their leases tell that they died."""
HELD = "SELECT id FROM jobs WHERE state = 'running' AND worker_id = %(worker)s"
WORKERS = "SELECT id FROM workers ORDER BY started_at"


def drill(stage: Stage) -> Outcome:
    """RTO: from the loss to the end of the last job that the lost worker held, which waits for a whole lease."""
    _demand_namespaces()
    valkey = EmbeddedValkey(stage.directory / "valkey")
    postgres = EmbeddedPostgres(stage.directory / "postgres")
    try:
        database_url, redis_url = postgres.start(), valkey.start()
        upgrade(database_url)
        with (
            stage.provider() as provider,
            running_rig(stage.directory, database_url, redis_url, provider) as rig,
        ):
            return _lose_a_machine(stage, rig)
    finally:
        valkey.stop()
        postgres.stop()


def _demand_namespaces() -> None:
    if not shutil.which("unshare"):
        raise Unavailable("unshare is missing; as root: apt-get install util-linux")
    done = subprocess.run([*MACHINE, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"this kernel gives no namespaces: {done.stderr.strip()}")


def _lose_a_machine(stage: Stage, rig: Rig) -> Outcome:
    lost_machine = _start_machine(rig)
    until(lambda: rig.beating() == 1)
    others = _start_machine(rig)
    until(lambda: rig.beating() == 2)
    doors = [lost_machine[0], others[0]]
    until(lambda: all(map(answers, doors)))
    platform = Platform(rig, doors, new_key(rig))
    with submitting(platform.clients) as load:
        wait_s(stage.seconds(LOAD_S))
        held = until(lambda: _held(rig))
        struck = time.monotonic()
        for program in (lost_machine[0].process, *lost_machine[1]):
            program.kill()
        until(lambda: len(rig.ended(held)) == len(held))
        rto_s = time.monotonic() - struck
    return platform.outcome(load, struck, rto_s)


def _start_machine(rig: Rig) -> tuple[Gateway, list[Child]]:
    programs = [
        rig.start("workers.dispatcher", under=MACHINE),
        rig.start("workers.worker", "--slots", SLOTS, under=MACHINE),
    ]
    return start_gateway(rig), programs


def _held(rig: Rig) -> list[UUID]:
    """What the worker that started first holds."""
    with rig.services.database.transaction() as tx:
        first = rows(tx, WORKERS)[0].id
        return [row.id for row in rows(tx, HELD, {"worker": str(first)})]
