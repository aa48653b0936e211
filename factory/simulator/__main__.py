"""`python -m factory.simulator --log FILE`: prints one line of JSON with its URL when it is ready."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path

from factory.errors import FactoryError
from factory.simulator.script import parse_script
from factory.simulator.server import Simulator, SimulatorConfig


def read_arguments(arguments: list[str]) -> SimulatorConfig:
    """Exits with a message if an argument is wrong; raises InvalidInput if a script is."""
    parser = ArgumentParser(prog="factory.simulator", description=__doc__)
    parser.add_argument(
        "--log", type=Path, help="where every call is written; else they are only counted"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency-ms", default="20..120", metavar="LOW..HIGH")
    parser.add_argument("--config", type=Path, help="JSON: the first scripts, by provider")
    parser.add_argument("--quiet", action="store_true", help="do not print the URL")
    given = parser.parse_args(arguments)
    latency = parse_script(f"latency_ms={given.latency_ms}").latency
    if latency is None:
        parser.error("--latency-ms must be a number or LOW..HIGH")
    return SimulatorConfig(
        log=given.log,
        host=given.host,
        port=given.port,
        seed=given.seed,
        latency=latency,
        scripts=json.loads(given.config.read_text()) if given.config else {},
        quiet=given.quiet,
    )


async def serve(config: SimulatorConfig) -> None:
    """Runs until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    simulator = Simulator(config)
    url = await simulator.start()
    if not config.quiet:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
    await stopped.wait()
    await simulator.stop()


def raise_file_limit() -> None:
    """Each call in flight holds a socket, and the usual soft limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Starts from the command line's arguments."""
    raise_file_limit()
    try:
        config = read_arguments(sys.argv[1:])
        asyncio.run(serve(config))
    except (FactoryError, OSError, json.JSONDecodeError) as error:
        raise SystemExit(f"simulator: {error}") from None


if __name__ == "__main__":
    main()
