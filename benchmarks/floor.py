"""The unit of this machine at this moment: what a bare call to the provider takes.

`aiohttp` and `orjson` alone send the request and read the answer. Goals were set on a machine where that takes
`GOALS_CALL_MS` of CPU; a goal in milliseconds or jobs/s of that machine is a number of such calls, and holds
on each machine. Beside other work a program gets a share of its core, which a busy loop measures.

    python -m benchmarks.floor URL CALLS
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median

import orjson
from aiohttp import ClientSession

from benchmarks.figures import Goal, at_least_times, at_most_times

GOALS_CALL_MS = 0.07
"""CPU in milliseconds of the bare call on the machine on which the goals were set."""
CALLS = 3000
IN_FLIGHT = 50
BUSY_S = 0.5
PEER = "a bare aiohttp call"
BODY = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a queue?"},
    ],
    "max_tokens": 60,
}
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Floor:
    """A bare call's CPU, and the share of the measured core that one busy program gets."""

    call_ms: float
    share: float

    @property
    def wall_ms(self) -> float:
        """The time in which the measured core makes one call."""
        return self.call_ms / self.share

    @property
    def calls_per_s(self) -> float:
        """So many the measured core makes."""
        return 1000 / self.wall_ms


def at_most_ms(bound_ms: float) -> Goal:
    """`bound_ms` of the goals' machine, as a number of bare calls."""
    return at_most_times(round(bound_ms / GOALS_CALL_MS, 2))


def at_least_per_s(bound_per_s: float) -> Goal:
    """`bound_per_s` of the goals' machine, as a share of the bare calls that a core makes."""
    return at_least_times(round(bound_per_s * GOALS_CALL_MS / 1000, 4))


def measured(provider_url: str, core: int) -> Floor:
    """Now, on this core."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.floor"]
    command += [provider_url, str(CALLS)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return Floor(**json.loads(found.stdout))


async def bare_cpu_ms(provider_url: str, calls: int) -> float:
    """CPU of one bare call in this process."""
    url, body = f"{provider_url}/openai/v1/chat/completions", orjson.dumps(BODY)
    async with ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def bare() -> object:
            async with session.post(url, data=body) as answer:
                return orjson.loads(await answer.read())

        return await cpu_ms(bare, calls)


async def cpu_ms(call: Call, calls: int, parts: int = 5) -> float:
    """CPU time of a call in milliseconds: the median of the parts' means."""
    await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
    rounds = max(1, calls // IN_FLIGHT // parts)
    means = []
    for _ in range(parts):
        started = time.process_time()
        for _ in range(rounds):
            await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
        means.append((time.process_time() - started) * 1000 / (rounds * IN_FLIGHT))
    return median(means)


def share_of_core() -> float:
    """What a busy loop gets of the core that it runs on: 1 where nobody else wants it."""
    before_s, started = time.process_time(), time.perf_counter()
    while (took_s := time.perf_counter() - started) < BUSY_S:
        pass
    return min(1.0, (time.process_time() - before_s) / took_s)


def main() -> None:
    """Prints the floor as a line of JSON."""
    call_ms = asyncio.run(bare_cpu_ms(sys.argv[1], int(sys.argv[2])))
    print(json.dumps(asdict(Floor(call_ms, share_of_core()))))


if __name__ == "__main__":
    main()
