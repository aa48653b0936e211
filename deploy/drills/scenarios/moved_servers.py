"""The installation outgrows its machine: Postgres and the broker move to servers of their own, named by URL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.drills.archived import DATABASE
from deploy.drills.grounds import bare
from deploy.drills.load import Clients, Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform, running_platform
from deploy.drills.stage import Stage, factory_cli, until
from factory.config import Settings
from factory.simulator import HostedSimulator
from factory.store import servers
from factory.store.migrate import upgrade

LOAD_S = 6.0
GROUND = bare


def drill(stage: Stage, _: Stage) -> Outcome:
    """RTO: from the stop of the programs to the end of a job that was submitted to those on the new servers.

    The key of before is good there, and every job that was accepted before the move ends after it.
    """
    with _servers(stage, "new") as (database_url, redis_url), stage.provider() as provider:
        key, load, stopped = _leave(stage, provider, database_url)
        with running_platform(stage, database_url, redis_url, provider) as moved:
            return _go_on(moved, key, load, stopped)


@contextmanager
def _servers(stage: Stage, name: str) -> Iterator[tuple[str, str]]:
    """The URLs of a Postgres, by a database that may not be there yet, and of a broker."""
    place = stage.part(name)
    with place.database() as server_url, place.broker() as broker:
        yield servers.with_database(server_url, DATABASE), broker.url


def _leave(stage: Stage, provider: HostedSimulator, new_url: str) -> tuple[str, Load, float]:
    """The programs are stopped and the data moved; the key, the load and the moment of the stop."""
    with _servers(stage, "old") as (database_url, redis_url):
        servers.create_database(database_url, DATABASE)
        upgrade(database_url)
        with running_platform(stage, database_url, redis_url, provider) as platform:
            with submitting(platform.clients) as load:
                load.go_on(stage.seconds(LOAD_S))
            stopped = time.monotonic()
            platform.rig.stop()
            settings = platform.rig.settings
            _move(stage, settings, settings.model_copy(update={"database_url": new_url}))
            return platform.key, load, stopped


def _move(stage: Stage, old: Settings, new: Settings) -> None:
    """By the commands that docs/operations/scaling.md names. The broker is not moved: hints go out again."""
    kept = {"backup_dir": str(stage.directory / "backups")}
    (stage.directory / "backups").mkdir()
    old, new = (settings.model_copy(update=kept) for settings in (old, new))
    factory_cli(old, stage.directory, "backup", "dump", "--unencrypted")
    factory_cli(new, stage.directory, "backup", "restore", "latest")
    factory_cli(new, stage.directory, "db", "after-restore", "--release")


def _go_on(platform: Platform, key: str, before: Load, stopped: float) -> Outcome:
    urls = [one.url for one in platform.gateways]
    with submitting(Clients(urls, key)) as load:
        until(lambda: platform.rig.ended(load.since(stopped)))
        rto_s = time.monotonic() - stopped
    load.accepted.update(before.accepted)
    return platform.outcome(load, stopped, rto_s)
