"""What the child processes of a worker take, which its own figures leave out.

A child starts with the first job that needs one: a slow schema or pattern, a large translation, an embedding on this
machine. It ends when it has been idle for five minutes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure
from benchmarks.peers.race import pss_mb
from benchmarks.scale import drained
from benchmarks.stand import Scale, Stand, running_stand, until
from benchmarks.worker import accept
from factory.kinds.request import JobRequest

SLOTS = 20
WITHIN_S = 300.0
SLOW_PATTERN = {"pattern": "^(?:a|aa)*$", "const": "a" * 30}
LARGE_SCHEMA = {
    "type": "object",
    "properties": {f"p{n}": {"$ref": "#/$defs/used"} for n in range(2_400)},
    "$defs": {"used": {"type": "object"}, **{f"d{n}": {} for n in range(2_400)}},
}
NEEDS: Mapping[str, Mapping[str, Any]] = {
    "check": {"model": "openai/gpt-4o-mini", "params": {"json_schema": SLOW_PATTERN}},
    "translation": {"model": "anthropic/claude-haiku-4-5", "params": {"json_schema": LARGE_SCHEMA}},
    "embedding": {"model": "local/all-minilm-l6-v2"},
}


def figures(_scale: Scale) -> Iterator[Figure]:
    """No goals: beside the worker's memory these say what a machine must have."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        stand.start("workers.dispatcher")
        worker = psutil.Process(stand.start_worker(SLOTS).pid)
        known: set[psutil.Process] = set()
        for need, asked in NEEDS.items():
            yield _one(stand, worker, need, asked, known)


def _one(
    stand: Stand,
    worker: psutil.Process,
    need: str,
    asked: Mapping[str, Any],
    known: set[psutil.Process],
) -> Figure:
    accept(stand, [JobRequest.model_validate({"input": "Go.", **asked})])
    until(lambda: drained(stand), within_s=WITHIN_S)
    new: Sequence[psutil.Process] = list(set(worker.children(recursive=True)) - known)
    known.update(new)
    note = f"beside the worker's own memory; processes: {len(new)}"
    return Figure(f"worker_child_{need}", pss_mb(new), "MB", note=note)
