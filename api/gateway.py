"""What the requests of one process share. Made by the application factory, reached through the app."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from api.access import AccessLog
from api.keyring import Keyring
from api.live_sessions import LiveSessions
from api.meter import Meter, NoMeter
from api.parked import ParkedConnections
from api.readiness import Readiness
from api.sender import Sender
from api.waiting import WaitingRequests
from factory.accounts.accounts import Accounts
from factory.limits.backlog import Backpressure
from factory.limits.places import Places
from factory.llm.catalog import Catalog
from factory.log import open_log
from factory.pipeline.accept.bulk import Bulks
from factory.pipeline.accept.submit import Intake
from factory.pipeline.accept.wait import Waiter
from factory.pipeline.wakeup import WakeUpSender
from factory.services import Services
from factory.store.details import JobDetail, get_details, get_small_details
from factory.store.lookup import Wanted
from factory.store.statement_batch import StatementBatch

LISTS_SHARE = 0.3
"""Of the connections to Postgres, how many lists may hold: one may read a long history."""
MOST_LISTS = 32
LISTS_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """The services, and what is kept between requests."""

    services: Services
    intake: Intake
    bulks: Bulks
    reading: StatementBatch[Wanted, JobDetail | None]
    """Shared by all who read, so without what is large."""
    reading_large: StatementBatch[Wanted, JobDetail | None]
    """One job at a time: who reads a large one waits for others who do, and nobody else does."""
    lists: Places
    keyring: Keyring
    accounts: Accounts
    live_sessions: LiveSessions
    waiting: WaitingRequests
    parked: ParkedConnections
    meter: Meter | NoMeter
    access_log: AccessLog
    readiness: Readiness
    sender: Sender

    def leave(self) -> None:
        """Answers waiting requests: the process is to end."""
        self.waiting.leave()
        self.parked.close()

    def close(self) -> None:
        """Answers waiting requests, writes the last lines of the log, ends the threads."""
        self.leave()
        self.parked.stop()
        self.sender.stop()
        self.meter.stop()
        self.access_log.stop()
        self.intake.wake_up.stop()


def open_gateway(services: Services, catalog: Catalog) -> Gateway:
    """A gateway whose threads start with the first request, so after any fork."""
    intake = Intake(services, catalog, WakeUpSender(services.redis), Backpressure(services))
    sender = Sender(services.settings.send_timeout_s)
    accounts = Accounts(services)
    return Gateway(
        services,
        intake,
        Bulks(intake),
        StatementBatch(get_small_details),
        StatementBatch(get_details, most=1),
        _places_of_lists(services),
        Keyring(services),
        accounts,
        LiveSessions(services.database, accounts.keys),
        WaitingRequests(Waiter(services)),
        ParkedConnections(services.database, sender),
        Meter(services.database) if services.settings.enable_metrics else NoMeter(),
        AccessLog(services.settings.log_format, open_log(services.settings, "gateway")),
        Readiness(services),
        sender,
    )


def _places_of_lists(services: Services) -> Places:
    """So many at once that connections are left for submissions, reads and keys of others."""
    at_once = max(1, int(services.settings.database_pool_size * LISTS_SHARE))
    return Places(at_once, most=MOST_LISTS, wait_s=LISTS_WAIT_S)


def gateway_of(app: Flask) -> Gateway:
    """The gateway that `create_app` made for this app."""
    found: Gateway = app.extensions["gateway"]
    return found


def gateway() -> Gateway:
    """The gateway of the current request."""
    return gateway_of(current_app)
