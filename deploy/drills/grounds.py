"""Platforms that several drills share, one after the other: starting a platform takes longer than most drills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from deploy.drills.archived import ArchivedServer, archived_server
from deploy.drills.front import NAME, Front, own_certificate, running_front
from deploy.drills.guarded import GuardedServer, guarded_server
from deploy.drills.load import Clients
from deploy.drills.platform import Platform, running_platform
from deploy.drills.stage import Broker, Stage
from factory.store.migrate import upgrade
from tests.integration.reliability.replica import Pair, running_pair
from tests.integration.reliability.sentinels import Group, running_group


@contextmanager
def bare(stage: Stage) -> Iterator[Stage]:
    """For a drill that brings all of its own."""
    yield stage


@dataclass(frozen=True, slots=True)
class Archived:
    """A platform whose database is backed up."""

    server: ArchivedServer
    broker: Broker
    platform: Platform


@contextmanager
def archived_platform(stage: Stage) -> Iterator[Archived]:
    with (
        stage.broker() as broker,
        archived_server(stage) as server,
        stage.provider() as provider,
        running_platform(stage, server.url, broker.url, provider) as platform,
    ):
        yield Archived(server, broker, platform)


@dataclass(frozen=True, slots=True)
class Replicated:
    """A platform whose servers have others to take their place."""

    pair: Pair
    group: Group
    platform: Platform


@contextmanager
def replicated_platform(stage: Stage) -> Iterator[Replicated]:
    with (
        running_pair(stage.directory) as pair,
        running_group(stage.directory / "redis") as group,
        stage.provider() as provider,
        running_platform(stage, pair.url, group.url, provider) as platform,
    ):
        yield Replicated(pair, group, platform)


@dataclass(frozen=True, slots=True)
class Fronted:
    """A platform with two gateways behind nginx. Its programs connect to Postgres as the role `first`."""

    server: GuardedServer
    platform: Platform
    front: Front

    @property
    def clients(self) -> Clients:
        """They come by nginx, and try nothing twice."""
        trusted = str(self.front.certificate.trusted)
        return replace(
            self.platform.clients,
            urls=[self.front.url],
            patient=False,
            trusted=trusted,
            server_name=NAME,
        )


@contextmanager
def fronted_platform(stage: Stage) -> Iterator[Fronted]:
    """Raises Unavailable where nginx cannot be had."""
    certificate = own_certificate(stage, stage.directory / "tls", NAME)
    with guarded_server(stage) as server, stage.broker() as broker:
        database_url = server.let_in("first")
        upgrade(database_url)
        with (
            stage.provider() as provider,
            running_platform(stage, database_url, broker.url, provider, gateways=2) as platform,
            running_front(stage, platform.gateways, certificate) as front,
        ):
            yield Fronted(server, platform, front)
