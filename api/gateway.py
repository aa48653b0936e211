"""What the requests of one process share. Made by the application factory, reached through the app."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from api.keyring import Keyring
from api.meter import Meter
from api.waiting import Patience
from factory.limits.backlog import Gate
from factory.llm.catalog import Catalog
from factory.pipeline.poke import Poker
from factory.pipeline.submit import Intake
from factory.pipeline.wait import Waiter
from factory.services import Services


@dataclass(frozen=True, slots=True)
class Gateway:
    """The services, and what is kept between requests."""

    services: Services
    intake: Intake
    keyring: Keyring
    patience: Patience
    meter: Meter

    def close(self) -> None:
        """Lets waiting requests go, writes the last counts, ends the threads."""
        self.patience.leave()
        self.meter.stop()
        self.intake.poker.stop()


def open_gateway(services: Services, catalog: Catalog) -> Gateway:
    """A gateway whose threads start with the first request, so after any fork."""
    return Gateway(
        services,
        Intake(services, catalog, Poker(services.redis), Gate(services)),
        Keyring(services),
        Patience(Waiter(services)),
        Meter(services.database),
    )


def gateway_of(app: Flask) -> Gateway:
    """The gateway that `create_app` made for this app."""
    found: Gateway = app.extensions["gateway"]
    return found


def gateway() -> Gateway:
    """The gateway of the current request."""
    return gateway_of(current_app)
