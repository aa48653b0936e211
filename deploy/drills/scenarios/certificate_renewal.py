"""The certificate is renewed by certbot and nginx takes it, while clients that try nothing twice submit over TLS."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace

from deploy.drills.archived import wait_s
from deploy.drills.authority import Authority, running_authority
from deploy.drills.front import NAME, Front, running_front
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform, running_platform
from deploy.drills.stage import Stage, until
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.store.migrate import upgrade
from tests.integration.reliability.ports import free_port

LOAD_S = 3.0


def drill(stage: Stage) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long until the new certificate is served."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    postgres = EmbeddedPostgres(stage.directory / "postgres")
    port = free_port()
    try:
        with running_authority(stage, port) as authority:
            first = authority.issue("--standalone", "--http-01-port", str(port))
            database_url, redis_url = postgres.start(), valkey.start()
            upgrade(database_url)
            with (
                stage.provider() as provider,
                running_platform(stage, database_url, redis_url, provider) as platform,
                running_front(stage, platform.gateways, first, port) as front,
            ):
                return _renew(stage, authority, platform, front)
    finally:
        valkey.stop()
        postgres.stop()


def _renew(stage: Stage, authority: Authority, platform: Platform, front: Front) -> Outcome:
    clients = replace(
        platform.clients,
        urls=[front.url],
        patient=False,
        trusted=str(front.certificate.trusted),
        server_name=NAME,
    )
    before = _served(front)
    with submitting(clients) as load:
        wait_s(stage.seconds(LOAD_S))
        started = time.monotonic()
        authority.issue("--webroot", "-w", str(front.webroot), "--force-renewal")
        front.reload()
        until(lambda: _served(front) != before)
        took_s = time.monotonic() - started
        wait_s(stage.seconds(LOAD_S))
    found = platform.outcome(load, started, took_s)
    return replace(
        found,
        lost=found.lost + len(load.failures),
        counted=load.requests,
        complaints=tuple(load.failures[:3]),
    )


def _served(front: Front) -> str:
    return ssl.get_server_certificate(("127.0.0.1", front.https_port))
