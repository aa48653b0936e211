"""Every gateway behind nginx is replaced, one after the other, while clients that try nothing twice submit."""

from __future__ import annotations

import time
from dataclasses import replace

from deploy.drills.archived import wait_s
from deploy.drills.front import NAME, own_certificate, running_front
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Gateway, running_platform, start_gateway
from deploy.drills.stage import Stage
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.store.migrate import upgrade

LOAD_S = 3.0


def drill(stage: Stage) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long the update takes. Lost: requests that failed."""
    valkey = EmbeddedValkey(stage.directory / "valkey")
    postgres = EmbeddedPostgres(stage.directory / "postgres")
    try:
        database_url, redis_url = postgres.start(), valkey.start()
        upgrade(database_url)
        certificate = own_certificate(stage, stage.directory / "tls", NAME)
        with (
            stage.provider() as provider,
            running_platform(stage, database_url, redis_url, provider, gateways=2) as platform,
            running_front(stage, platform.gateways, certificate) as front,
        ):
            clients = replace(
                platform.clients,
                urls=[front.url],
                patient=False,
                trusted=str(certificate.trusted),
                server_name=NAME,
            )

            def start(port: int) -> Gateway:
                return start_gateway(platform.rig, port)

            with submitting(clients) as load:
                wait_s(stage.seconds(LOAD_S))
                started = time.monotonic()
                for gateway in platform.gateways:
                    front.replace(gateway, start)
                took_s = time.monotonic() - started
                wait_s(stage.seconds(LOAD_S))
            found = platform.outcome(load, started, took_s)
            failed = len(load.failures)
            return replace(
                found,
                lost=found.lost + failed,
                counted=load.requests,
                complaints=tuple(load.failures[:3]),
            )
    finally:
        valkey.stop()
        postgres.stop()
