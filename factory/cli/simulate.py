"""`factory simulate`: the provider simulator alone, for tests and load."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    log: Annotated[Path, typer.Option(help="Where every call is written.")] = Path(
        "simulator.jsonl"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Decides all texts and latencies.")] = 0,
    latency_ms: Annotated[str, typer.Option(help="N or LOW..HIGH.")] = "20..120",
) -> None:
    """Start the provider simulator alone.

    Providers on loopback that speak the providers' wire formats; no model is behind them. docs/simulator.md has the scripts
    that tell it how to answer.

    Prints one line of JSON with its URL, then serves until Ctrl-C.
    """
    options = ["--log", str(log), "--port", str(port), "--seed", str(seed)]
    argv = [sys.executable, "-m", "factory.simulator", *options, "--latency-ms", latency_ms]
    os.execv(sys.executable, argv)  # noqa: S606 - the simulator takes this process's place
