"""A program of the harness' own among the platform's: behind proxies, or with a clock of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from factory.cli.providers import simulated_environment, to_simulate
from tests.acceptance.stack import environment, eventually
from tests.faults.scene import LONG_S, Scene
from tests.integration.reliability.proxy import running_proxy
from tests.integration.reliability.urls import postgres_socket

DRAINS_S = 30.0
SLOTS = 100


@contextmanager
def extra_program(scene: Scene, module: str, *arguments: str, **variables: str) -> Iterator[int]:
    """Runs `python -m module arguments…` as one of the platform's programs; gives its pid."""
    state, home = scene.state(), scene.stack.home
    shared = {
        "DATABASE_URL": state.database_url,
        "REDIS_URL": state.redis_url,
        "SECRET_KEY": (home / "secret_key").read_text(),
        "LOG_FORMAT": "text",
        **simulated_environment(to_simulate({}, force=True), scene.simulator_url()),
    }
    with (home.parent / "extra-program.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            env=environment(home, **{**shared, **variables}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(DRAINS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def extra_worker(scene: Scene, **variables: str) -> Iterator[int]:
    """A third worker, which beats; gives its pid."""
    options = ("--lanes", "all", "--slots", str(SLOTS))
    with extra_program(scene, "workers.worker", *options, **variables) as pid:
        eventually(lambda: pid in {one["pid"] for one in scene.stack.workers()}, LONG_S)
        yield pid


@contextmanager
def worker_behind_proxies(scene: Scene) -> Iterator[None]:
    """Leaves the third worker and its ways to Postgres and Redis in the scene."""
    state = scene.state()
    with ExitStack() as stack:
        postgres = stack.enter_context(running_proxy(postgres_socket(state.database_url)))
        redis = stack.enter_context(running_proxy(_redis_socket(state.redis_url)))
        scene.extra_pid = stack.enter_context(
            extra_worker(
                scene,
                DATABASE_URL=f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres",
                REDIS_URL=f"redis://127.0.0.1:{redis.port}/0",
            )
        )
        scene.ways = {"postgres": postgres, "redis": redis}
        yield


def _redis_socket(redis_url: str) -> Path:
    return Path(unquote(urlsplit(redis_url).path))
