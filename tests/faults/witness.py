"""The provider's own log, as evidence: which calls were begun for which job, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from factory.simulator.journal import Entry, Outcome, Phase, read_entries

FREE = frozenset({Outcome.STATUS, Outcome.REFUSED})
"""Answers that a provider does not bill."""


def begun_calls(log: Path) -> Mapping[str, Sequence[datetime]]:
    """When calls began that may have been billed, by job: also those whose caller died meanwhile."""
    begun: dict[str, Entry] = {}
    for entry in read_entries(log):
        if entry.phase is Phase.RECEIVED and entry.job:
            begun[entry.call] = entry
        elif entry.outcome in FREE:
            begun.pop(entry.call, None)
    calls: dict[str, list[datetime]] = defaultdict(list)
    for entry in begun.values():
        calls[entry.job or ""].append(entry.at)
    return calls
