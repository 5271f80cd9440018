from datetime import UTC, datetime, timedelta, timezone

import pytest

from api.time_window import LONGEST_SEARCH, TimeWindowError, time_window

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_without_bounds_it_is_the_last_day_and_what_fast_clocks_have_sent():
    window = time_window(None, None, NOW)

    assert (window.since, window.until) == (NOW - DAY, NOW + DAY)


def test_with_an_end_alone_it_is_the_day_before_that():
    assert time_window(None, NOW - DAY, NOW).since == NOW - 2 * DAY


def test_a_time_without_a_zone_is_taken_as_utc_and_one_with_a_zone_is_the_same_instant():
    naive = NOW.replace(tzinfo=None)
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))

    assert time_window(naive - DAY, tokyo, NOW) == time_window(NOW - DAY, NOW, NOW)


def test_366_days_are_served_and_a_moment_more_is_not():
    assert time_window(NOW - LONGEST_SEARCH, None, NOW).since == NOW - LONGEST_SEARCH
    assert time_window(NOW - LONGEST_SEARCH, NOW, NOW).until == NOW
    for until in (None, NOW):
        with pytest.raises(TimeWindowError, match="longer than 366 days"):
            time_window(NOW - LONGEST_SEARCH - timedelta(microseconds=1), until, NOW)


@pytest.mark.parametrize("since", [NOW, NOW + DAY])
def test_a_window_that_ends_before_it_begins_is_refused(since):
    with pytest.raises(TimeWindowError, match="earlier than until"):
        time_window(since, NOW, NOW)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, datetime(1, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), None),
        (None, datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5)))),
    ],
)
def test_times_at_the_ends_of_the_calendar_are_refused_in_a_sentence(since, until):
    with pytest.raises(TimeWindowError):
        time_window(since, until, NOW)
