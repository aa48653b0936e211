"""The certificate is renewed by certbot and nginx takes it, while clients that try nothing twice submit over TLS."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress

from deploy.drills.authority import Authority, running_authority
from deploy.drills.front import Front
from deploy.drills.grounds import Fronted, fronted_platform
from deploy.drills.load import submitting
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage, until

LOAD_S = 3.0
GROUND = fronted_platform


def drill(stage: Stage, ground: Fronted) -> Outcome:
    """RTO: none, as nothing fails; what is shown is how long until the new certificate is served."""
    front = ground.front
    with running_authority(stage, front.http_port) as authority:
        front.serve(authority.issue("--webroot", "-w", str(front.webroot)))
        return _renew(stage, authority, ground)


def _renew(stage: Stage, authority: Authority, ground: Fronted) -> Outcome:
    front = ground.front
    before = until(lambda: _served(front))
    with submitting(ground.clients) as load:
        load.go_on(stage.seconds(LOAD_S))
        started = time.monotonic()
        authority.issue("--webroot", "-w", str(front.webroot), "--force-renewal")
        front.reload()
        until(lambda: _served(front) not in (None, before))
        took_s = time.monotonic() - started
        load.go_on(stage.seconds(LOAD_S))
    return ground.platform.uninterrupted(load, started, took_s)


def _served(front: Front) -> str | None:
    """The certificate; None while nginx does not answer."""
    with suppress(OSError):
        return ssl.get_server_certificate(("127.0.0.1", front.https_port))
    return None
