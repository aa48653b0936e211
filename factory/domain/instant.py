"""Times that can be computed with: within bounds, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Python's times end with 9999 and Postgres' do not; arithmetic on either end overflows."""


def within_bounds(when: datetime) -> datetime:
    """The same time in UTC. Raises ValueError outside of `EARLIEST` to `LATEST`."""
    # Times of two zones are compared by their distance, which does not overflow as a conversion does.
    if not EARLIEST <= when <= LATEST:
        raise ValueError(f"must be from {EARLIEST.year} to {LATEST.year}")
    return when.astimezone(UTC)


def in_utc(when: datetime) -> datetime:
    """The same time in UTC, or the bound that it is beyond."""
    return min(LATEST, max(EARLIEST, when)).astimezone(UTC)
