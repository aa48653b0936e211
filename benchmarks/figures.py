"""What a benchmark shows: one number with its goal, beside a peer's where there is one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """`bound` for our own number, or for `ours / peer` where `of_ratio`."""

    bound: float
    at_most: bool = False
    of_ratio: bool = False

    def text(self) -> str:
        """As it is printed, such as `>=2.4x` or `<=0.95`."""
        return f"{'<=' if self.at_most else '>='}{self.bound:g}{'x' if self.of_ratio else ''}"


def at_least(bound: float) -> Goal:
    """Our number reaches `bound`."""
    return Goal(bound)


def at_most(bound: float) -> Goal:
    """Our number stays under `bound`."""
    return Goal(bound, at_most=True)


def at_least_times(bound: float) -> Goal:
    """Our number is `bound` times the peer's, or more."""
    return Goal(bound, of_ratio=True)


def at_most_times(bound: float) -> Goal:
    """Our number is `bound` times the peer's, or less."""
    return Goal(bound, at_most=True, of_ratio=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report. The medians of several runs, where a benchmark makes several."""

    name: str
    """In snake case, unique: `gateway_post`."""
    ours: float
    unit: str
    """Of both numbers: `jobs/s`, `ms`, `MB`."""
    goal: Goal | None = None
    peer: float | None = None
    peer_name: str = ""
    note: str = ""
    """What a reader must know to read the numbers rightly, such as the number of connections."""

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's; None without a peer."""
        return self.ours / self.peer if self.peer else None

    @property
    def passed(self) -> bool:
        """Whether the goal is met; a figure without one is there to be known."""
        if self.goal is None:
            return True
        measured = self.ratio if self.goal.of_ratio else self.ours
        if measured is None:
            return False
        return measured <= self.goal.bound if self.goal.at_most else measured >= self.goal.bound

    def line(self) -> str:
        """As it is printed."""
        ratio = f"{self.ratio:.3g}" if self.ratio is not None else "-"
        peer = f"{self.peer:.6g}" if self.peer is not None else "-"
        named = f" peer_name={self.peer_name}" if self.peer_name else ""
        return (
            f"bench {self.name} ours={self.ours:.6g} peer={peer} ratio={ratio} unit={self.unit} "
            f"goal={self.goal.text() if self.goal else '-'} {'PASS' if self.passed else 'FAIL'}{named}"
        )
