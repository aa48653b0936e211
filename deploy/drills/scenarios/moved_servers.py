"""The installation outgrows its machine: Postgres and the broker move to servers of their own, named by URL."""

from __future__ import annotations

import time

from deploy.drills.archived import DATABASE, wait_s
from deploy.drills.load import Clients, Load, submitting
from deploy.drills.outcome import Outcome
from deploy.drills.platform import Platform, running_platform
from deploy.drills.stage import Stage, factory_cli, until
from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.store import servers
from factory.store.migrate import upgrade

LOAD_S = 6.0


def drill(stage: Stage) -> Outcome:
    """RTO: from the stop of the programs to the end of a job that was submitted to those on the new servers.

    The key of before is good there, and every job that was accepted before the move ends after it.
    """
    old, new = (Servers(stage, name) for name in ("old", "new"))
    try:
        old_urls, new_urls = old.start(), new.start()
        servers.create_database(old_urls[0], DATABASE)
        database_url, moved_url = (
            servers.with_database(urls[0], DATABASE) for urls in (old_urls, new_urls)
        )
        upgrade(database_url)
        with stage.provider() as provider:
            with running_platform(stage, database_url, old_urls[1], provider) as platform:
                with submitting(platform.clients) as before:
                    wait_s(stage.seconds(LOAD_S))
                stopped = time.monotonic()
                platform.rig.stop()
                settings = platform.rig.settings
                _move(stage, settings, settings.model_copy(update={"database_url": moved_url}))
            old.stop()
            with running_platform(stage, moved_url, new_urls[1], provider) as moved:
                return _go_on(moved, platform.key, before, stopped)
    finally:
        old.stop()
        new.stop()


class Servers:
    """A Postgres and a broker."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._postgres = EmbeddedPostgres(stage.directory / name / "postgres")
        self._valkey = EmbeddedValkey(stage.directory / name / "valkey")

    def start(self) -> tuple[str, str]:
        """Their URLs."""
        return self._postgres.start(), self._valkey.start()

    def stop(self) -> None:
        """Also twice."""
        self._valkey.stop()
        self._postgres.stop()


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
