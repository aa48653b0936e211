"""Days and months in UTC, by which what has ended is kept together and dropped together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `start` until just before `end`, and how it is named."""

    start: datetime
    end: datetime
    label: str


class Period(Enum):
    """How long a span is; the value is how `strftime` names one."""

    DAY = "%Y_%m_%d"
    MONTH = "%Y_%m"

    def start(self, when: datetime) -> datetime:
        """When the period began that `when` (aware) lies in."""
        day = when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day if self is Period.DAY else day.replace(day=1)

    def shift(self, start: datetime, count: int) -> datetime:
        """The start of a period, so many periods later; a negative count goes back."""
        if self is Period.DAY:
            return start + timedelta(days=count)
        months = start.year * 12 + start.month - 1 + count
        return start.replace(year=months // 12, month=months % 12 + 1)

    def spans(self, first: datetime, last: datetime) -> Iterator[Span]:
        """The periods from the one that holds `first` to the one that holds `last`."""
        start, end = self.start(first), self.start(last)
        while start <= end:
            after = self.shift(start, 1)
            yield Span(start, after, start.strftime(self.value))
            start = after
