"""SECRET_KEY and the database's password are replaced, program by program, while clients submit.

For the password there are two roles in turn: the new one is let in before the old one is shut out.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Mapping

from deploy.drills.front import Front
from deploy.drills.grounds import Fronted, fronted_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import SLOTS, Gateway, start_gateway
from deploy.drills.stage import Stage, until
from factory.errors import Unavailable
from factory.store import servers
from tests.integration.reliability.rig import SECRET_KEY, Rig

LOAD_S = 3.0
DRAINS = ((signal.SIGTERM, 60.0),)
GROUND = fronted_platform
SPENDS_GROUND = True
"""Its programs are not those that the ground knows, nor is their way to Postgres."""


def drill(stage: Stage, ground: Fronted) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long both rotations take."""
    server, platform = ground.server, ground.platform
    with submitting(ground.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        started = time.monotonic()
        variables = {
            "SECRET_KEY": secrets.token_hex(32),
            "SECRET_KEY_PREVIOUS": SECRET_KEY,
            "DATABASE_URL": server.let_in("second"),
        }
        _roll(platform.rig, ground.front, variables)
        platform.rig.services.close()
        server.shut_out("first")
        took_s = time.monotonic() - started
        load.go_on(stage.seconds(LOAD_S))
    complaints = _still_good(platform.rig.settings.database_url)
    with platform.watched_from(server.own_url) as watched:
        return watched.uninterrupted(load, started, took_s, complaints)


def _roll(rig: Rig, front: Front, variables: Mapping[str, str]) -> None:
    old = [one for one in rig.programs if one not in [door.process for door in front.gateways]]
    rig.start("workers.dispatcher", **variables)
    rig.start("workers.worker", "--slots", SLOTS, **variables)
    until(lambda: rig.beating() >= 2)
    for program in old:
        program.end(DRAINS)

    def start(port: int) -> Gateway:
        return start_gateway(rig, port, **variables)

    front.replace_all(start)


def _still_good(database_url: str) -> list[str]:
    try:
        servers.ask(database_url, "SELECT 1")
    except Unavailable:
        return []
    return ["the old password is still good"]
