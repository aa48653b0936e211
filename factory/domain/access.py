"""What an API key may do."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A right that a key carries."""

    JOBS = "jobs"
    """Submit, read and steer the project's jobs."""
    ADMIN = "admin"
    """Make and revoke the project's keys."""
