"""What a dashboard shows: values, from which `build` makes Grafana's JSON and the tests run each query."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression in PromQL; `legend` names its series by their labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time, or one number. `unit` is a name of Grafana's: s, reqps, percentunit, bytes …"""

    title: str
    unit: str
    queries: tuple[Query, ...]
    text: str = ""
    """What it tells, and when to worry."""
    width: int = WIDTH // 3
    number: bool = False
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `uid` is its address in Grafana, and its file's name."""

    uid: str
    title: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)


def graph(title: str, unit: str, *queries: Query, text: str = "", stacked: bool = False) -> Panel:
    """A third of a row."""
    return Panel(title, unit, queries, text, stacked=stacked)


def number(title: str, unit: str, expr: str, text: str = "") -> Panel:
    """One number, a sixth of a row."""
    return Panel(title, unit, (Query(expr),), text, width=WIDTH // 6, number=True)


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    """p50, p95 and p99 of a histogram."""
    labels = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    rate = f"sum by ({labels}) (rate({metric}_bucket{where}[$__rate_interval]))"
    return tuple(
        Query(f"histogram_quantile({share / 100}, {rate})", f"{name}p{share}")
        for share in (50, 95, 99)
    )
