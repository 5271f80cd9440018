"""Days, bounds and covers, without a database."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from migrator.partitioning import (
    FOR_EVER,
    Partition,
    Relation,
    covered_until,
    days_between,
    first_midnight_after,
    midnight,
    midnight_literal,
    partition_name,
    uncovered_days,
)

DAYS = [Partition(f"p{day}", midnight(date(2026, 3, day)), midnight(date(2026, 3, day + 1))) for day in (2, 3, 5)]
LEGACY = Partition("legacy", None, midnight(date(2026, 3, 2)))
KOLKATA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 3)),
        (datetime(2026, 3, 1, 0, 0, 0, 1, tzinfo=UTC), date(2026, 3, 4)),
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), date(2026, 3, 4)),
        (datetime(2026, 3, 2, 3, 0, tzinfo=KOLKATA), date(2026, 3, 4)),
        (datetime(2026, 12, 31, 1, 0, tzinfo=UTC), date(2027, 1, 3)),
    ],
)
def test_the_bound_is_the_first_midnight_that_is_two_days_ahead(instant, expected):
    bound = first_midnight_after(instant, timedelta(days=2))

    assert bound == midnight(expected)
    assert timedelta(days=2) <= bound - instant < timedelta(days=3)


def test_a_bound_is_written_in_utc_whatever_zone_it_came_in():
    moment = midnight(date(2026, 3, 1)).astimezone(KOLKATA)

    assert midnight_literal(moment).as_string() == "'2026-03-01 00:00:00+00'"


def test_days_between_hold_both_ends_and_may_be_none():
    assert days_between(date(2026, 2, 27), date(2026, 3, 1)) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert days_between(date(2026, 3, 2), date(2026, 3, 1)) == []


def test_only_days_that_no_partition_touches_are_uncovered():
    asked = [date(2026, 3, 6), date(2026, 3, 4), date(2026, 3, 3), date(2020, 1, 1), date(2026, 3, 4)]
    half_a_day = Partition("odd", datetime(2026, 3, 6, 12, tzinfo=UTC), None)

    assert uncovered_days([*DAYS, LEGACY], asked) == [date(2026, 3, 4), date(2026, 3, 6)]
    assert uncovered_days([*DAYS, LEGACY, half_a_day], asked) == [date(2026, 3, 4)]


def test_a_cover_ends_at_the_first_gap():
    start = midnight(date(2026, 3, 1))

    assert covered_until([*DAYS, LEGACY], start) == midnight(date(2026, 3, 4))
    assert covered_until(DAYS, start) is None
    assert covered_until([], start) is None
    assert covered_until([Partition("all", None, None)], start) == FOR_EVER


def test_names_are_quoted_and_follow_the_format():
    assert Relation("Shop", 'or"ders').quoted == '"Shop"."or""ders"'
    assert partition_name("{table}_{day:%Y_%m_%d}", "orders", date(2026, 3, 1)) == "orders_2026_03_01"
