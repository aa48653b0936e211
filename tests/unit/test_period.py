"""Days and months in UTC, whatever the zone of the time that is asked about."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from factory.domain.period import Period

TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("period", "when", "start"),
    [
        (
            Period.MONTH,
            datetime(2026, 11, 25, 13, 5, tzinfo=UTC),
            datetime(2026, 11, 1, tzinfo=UTC),
        ),
        (Period.MONTH, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 1, 8, tzinfo=TOKYO), datetime(2026, 11, 1, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 12, 1, 8, tzinfo=TOKYO), datetime(2026, 11, 30, tzinfo=UTC)),
    ],
)
def test_a_period_begins_at_midnight_utc(period: Period, when: datetime, start: datetime) -> None:
    assert period.start(when) == start


@pytest.mark.parametrize(
    ("count", "month"),
    [
        (1, (2027, 1)),
        (2, (2027, 2)),
        (-11, (2026, 1)),
        (-12, (2025, 12)),
        (0, (2026, 12)),
        (13, (2028, 1)),
    ],
)
def test_months_are_counted_over_the_turn_of_the_year(count: int, month: tuple[int, int]) -> None:
    start = datetime(2026, 12, 1, tzinfo=UTC)
    assert Period.MONTH.shift(start, count) == datetime(*month, 1, tzinfo=UTC)


def test_spans_follow_each_other_without_a_gap() -> None:
    first, last = datetime(2028, 1, 31, tzinfo=UTC), datetime(2028, 4, 1, tzinfo=UTC)
    spans = list(Period.MONTH.spans(first, last))
    assert [span.label for span in spans] == ["2028_01", "2028_02", "2028_03", "2028_04"]
    assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
    days = list(
        Period.DAY.spans(datetime(2028, 2, 28, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC))
    )
    assert [span.label for span in days] == ["2028_02_28", "2028_02_29", "2028_03_01"]


def test_a_time_span_that_ends_before_it_begins_has_no_periods() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert list(Period.DAY.spans(now, now - timedelta(days=1))) == []
