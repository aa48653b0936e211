"""What a drill found, and the line that says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Measured, not hoped for."""

    rto_s: float
    """From the disaster to the first work done after it."""
    rpo_s: float
    """How much of what had been accepted before the disaster is gone, in seconds before it."""
    lost: int
    """Accepted jobs that are gone or did not end as they should; where the service must go on, failed requests too."""
    bound: int = 0
    """How many may be."""
    counted: int = 0
    """Accepted jobs, or requests: what `lost` is out of."""
    complaints: Sequence[str] = ()
    """Each is a reason to fail."""

    @property
    def passed(self) -> bool:
        return self.lost <= self.bound and not self.complaints

    def line(self, name: str) -> str:
        """As CI and the docs show it."""
        verdict = "PASS" if self.passed else "FAIL"
        figures = (
            f"rto_s={self.rto_s:.1f} rpo_s={self.rpo_s:.1f} lost={self.lost} bound={self.bound}"
        )
        return "\n".join(
            [
                f"drill {name} {figures} of={self.counted} {verdict}",
                *(f"  {one}" for one in self.complaints),
            ]
        )
