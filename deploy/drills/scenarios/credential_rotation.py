"""SECRET_KEY and the database's password are replaced, program by program, while clients submit.

For the password there are two roles in turn: the new one is let in before the old one is shut out.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.drills.archived import wait_s
from deploy.drills.front import NAME, Front, own_certificate, running_front
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import SLOTS, Gateway, Platform, running_platform, start_gateway
from deploy.drills.stage import Stage, until
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.errors import Unavailable
from factory.store import servers
from factory.store.migrate import upgrade
from tests.integration.reliability.rig import SECRET_KEY

LOAD_S = 3.0
DRAINS = ((signal.SIGTERM, 60.0),)
HBA = "local all postgres trust\nlocal all all scram-sha-256\n"
OWNER = "CREATE ROLE factory NOLOGIN; ALTER DATABASE factory OWNER TO factory"
SHUT_OUT = "ALTER ROLE first NOLOGIN; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'first'"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that asks for passwords."""

    admin_url: str

    def let_in(self, role: str) -> str:
        """A new role that acts as the owner; its URL."""
        word = secrets.token_urlsafe(12)
        servers.tell(
            self.admin_url,
            f"CREATE ROLE {role} LOGIN PASSWORD '{word}' IN ROLE factory;"
            f"ALTER ROLE {role} SET role = factory",
        )
        parts = servers.connection_parts(self.admin_url)
        return servers.url_of(**{**parts, "user": role, "password": word, "dbname": "factory"})


def drill(stage: Stage) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long both rotations take."""
    hba = stage.directory / "pg_hba.conf"
    hba.write_text(HBA)
    valkey = EmbeddedValkey(stage.directory / "valkey")
    postgres = EmbeddedPostgres(stage.directory / "postgres", {"hba_file": str(hba)})
    try:
        guarded = _guarded(postgres.start())
        database_url, redis_url = guarded.let_in("first"), valkey.start()
        upgrade(database_url)
        certificate = own_certificate(stage, stage.directory / "tls", NAME)
        with (
            stage.provider() as provider,
            running_platform(stage, database_url, redis_url, provider, gateways=2) as platform,
            running_front(stage, platform.gateways, certificate) as front,
        ):
            return _rotate(stage, guarded, platform, front, certificate.trusted)
    finally:
        valkey.stop()
        postgres.stop()


def _guarded(admin_url: str) -> Guarded:
    servers.create_database(admin_url, "factory")
    servers.tell(admin_url, OWNER)
    servers.tell(servers.with_database(admin_url, "factory"), "CREATE EXTENSION vector")
    return Guarded(admin_url)


def _rotate(
    stage: Stage, guarded: Guarded, platform: Platform, front: Front, trusted: Path
) -> Outcome:
    clients = replace(
        platform.clients, urls=[front.url], patient=False, trusted=str(trusted), server_name=NAME
    )
    with submitting(clients) as load:
        wait_s(stage.seconds(LOAD_S))
        started = time.monotonic()
        second = guarded.let_in("second")
        variables = {
            "SECRET_KEY": secrets.token_hex(32),
            "SECRET_KEY_PREVIOUS": SECRET_KEY,
            "DATABASE_URL": second,
        }
        _roll(platform, front, variables)
        platform.rig.services.close()
        servers.tell(guarded.admin_url, SHUT_OUT)
        took_s = time.monotonic() - started
        wait_s(stage.seconds(LOAD_S))
    complaints = [*load.failures[:3], *_still_good(platform.rig.settings.database_url)]
    watch = servers.with_database(guarded.admin_url, "factory")
    found = platform.watched_from(watch).outcome(load, started, took_s)
    return replace(
        found,
        lost=found.lost + len(load.failures),
        counted=load.requests,
        complaints=tuple(complaints),
    )


def _roll(platform: Platform, front: Front, variables: Mapping[str, str]) -> None:
    rig = platform.rig
    old = [one for one in rig.programs if one not in [door.process for door in front.gateways]]
    rig.start("workers.dispatcher", **variables)
    rig.start("workers.worker", "--slots", SLOTS, **variables)
    until(lambda: rig.beating() >= 2)
    for program in old:
        program.end(DRAINS)

    def start(port: int) -> Gateway:
        return start_gateway(rig, port, **variables)

    for gateway in front.gateways:
        front.replace(gateway, start)


def _still_good(database_url: str) -> list[str]:
    try:
        servers.ask(database_url, "SELECT 1")
    except Unavailable:
        return []
    return ["the old password is still good"]
