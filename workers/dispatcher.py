"""The dispatcher process: `python -m workers.dispatcher`. Two or more may run; none leads."""

from __future__ import annotations

import argparse
import logging
import threading
import time
from functools import partial

from redis.client import PubSub
from redis.exceptions import RedisError

from factory import metrics
from factory.agents.watch import AgentFiles
from factory.config import settings_or_exit
from factory.domain.principal import PLATFORM
from factory.domain.turns import Turns
from factory.llm.catalog import load_catalog
from factory.log import configure_logging
from factory.metrics import delta
from factory.pipeline.dispatch.publish import dispatch
from factory.pipeline.upkeep.broker import BrokerWatch
from factory.pipeline.upkeep.owners import Owners
from factory.pipeline.upkeep.periodic import PeriodicTask
from factory.pipeline.upkeep.rescue import TICK_S, Rescue
from factory.pipeline.upkeep.retention import Retention
from factory.pipeline.upkeep.startup import await_schema
from factory.pipeline.wakeup import CHANNEL
from factory.services import Services, connect
from factory.signal_calls import on_stop
from factory.store import counters
from workers.alive import AliveFile, add_alive_option
from workers.app import create_app_for
from workers.messages import Publisher

PAUSE_S = 0.01
"""Between two rounds that both found work: wake-ups within it are answered together."""
LONGEST_PAUSE_S = 2.0
"""After failures: work must go on soon after a server has come back."""
LONGEST_RETENTION_PAUSE_S = 60.0
COUNT_S = 10.0

log = logging.getLogger(__name__)


class WakeUpListener:
    """Waits for a wake-up; for a fixed time if none comes or Redis is away."""

    def __init__(self, services: Services, stopping: threading.Event) -> None:
        self._services = services
        self._stopping = stopping
        self._subscription: PubSub | None = None

    def wait(self, timeout_s: float) -> None:
        """Returns after a wake-up or `timeout_s`. Wake-ups that have piled up count as one."""
        try:
            subscription = self._subscribed()
            if self._next(subscription, timeout_s):
                while self._next(subscription, 0.0):
                    pass
        except RedisError as error:
            log.warning("no wake-ups, only ticks: %s", error)
            self._subscription = None
            self._stopping.wait(timeout_s)

    def _subscribed(self) -> PubSub:
        if self._subscription is None:
            self._subscription = self._services.redis.pubsub(  # type: ignore[no-untyped-call]
                ignore_subscribe_messages=True
            )
            self._subscription.subscribe(CHANNEL)
        return self._subscription

    @staticmethod
    def _next(subscription: PubSub, timeout_s: float) -> bool:
        return subscription.get_message(timeout=timeout_s) is not None


class RoundsCount:
    """Counts rounds of dispatch, and writes the count every COUNT_S, so that a metric shows that dispatch goes on."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rounds = 0
        self._next_write = 0.0

    def add(self) -> None:
        """One more. Raises Unavailable."""
        self._rounds += 1
        now = time.monotonic()
        if now < self._next_write:
            return
        with self._services.database.autocommit(PLATFORM) as tx:
            counters.add(tx, [delta(metrics.DISPATCH_ROUNDS, self._rounds)])
        self._rounds, self._next_write = 0, now + COUNT_S


class Dispatcher:
    """Publishes and rescues jobs until it is stopped. `alive` is touched with each round."""

    def __init__(self, services: Services, alive: AliveFile | None = None) -> None:
        self._services = services
        self._alive = alive or AliveFile()
        self._stopping = threading.Event()
        settings = services.settings
        self._publisher = Publisher(create_app_for(settings))
        self._turns = Turns()
        self._broker = BrokerWatch(services)
        self._rescue = Rescue(services)
        self._retention = Retention(services)
        self._owners = Owners(services)
        self._agents = AgentFiles(services, partial(load_catalog, settings.extra_models))
        self._wake_ups = WakeUpListener(services, self._stopping)
        self._count = RoundsCount(services)

    def stop(self) -> None:
        """From any thread, and no signal handler: ends after the current round."""
        self._stopping.set()

    def run(self) -> None:
        """Runs until it is stopped. No failure ends it."""
        # Each on a thread of its own: waiting for Redis would trigger the reaper's pause guard, and rescue must
        # not wait for retention.
        self._start(PeriodicTask("rescue", self._rescue_once, LONGEST_PAUSE_S))
        self._start(PeriodicTask("the watch on agents' files", self._agents.tick, LONGEST_PAUSE_S))
        self._start(PeriodicTask("retention", self._retention.tick, LONGEST_RETENTION_PAUSE_S))
        self._start(PeriodicTask("owners", self._owners.tick, LONGEST_RETENTION_PAUSE_S))
        self._repeat(PeriodicTask("dispatch", self._dispatch_once, LONGEST_PAUSE_S))

    def _start(self, task: PeriodicTask) -> None:
        threading.Thread(target=self._repeat, args=[task], name=task.name, daemon=True).start()

    def _repeat(self, task: PeriodicTask) -> None:
        while not self._stopping.wait(task.run()):
            pass

    def _rescue_once(self) -> float:
        self._rescue.tick()
        return TICK_S

    def _dispatch_once(self) -> float:
        self._alive.touch()
        self._broker.tick()
        published = dispatch(self._services, self._publisher.send, self._turns)
        self._count.add()
        self._wake_ups.wait(PAUSE_S if published else self._services.settings.tick_s)
        return 0.0


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="workers.dispatcher", description=__doc__)
    add_alive_option(parser)
    options = parser.parse_args()
    settings = settings_or_exit("workers.dispatcher")
    configure_logging(settings, "dispatcher")
    services = connect(settings, "dispatcher")
    await_schema(services)
    dispatcher = Dispatcher(services, AliveFile(options.alive_file))
    on_stop(dispatcher.stop)
    dispatcher.run()


if __name__ == "__main__":
    main()
