from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.log_search import growing
from logs_db.queries import LlmLogFilter, Position, SystemLogFilter, Window
from logs_db.queries.occurrences import windows_to_read
from logs_db.queries.sums import whole_steps

END = datetime(2026, 6, 15, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def recounted(*ago):
    return [{"day": END - days * DAY} for days in ago]


def hours(*ago):
    return [{"hour": END - hours * HOUR} for hours in ago]


@pytest.mark.parametrize("days", [0.1, 1, 2, 3, 14, 31, 100, 366])
def test_a_window_is_read_in_parts_without_gap_or_overlap_none_longer_than_31_days(days):
    window = Window(END - days * DAY, END)
    parts = list(growing(window, None))

    assert [part.until for part in parts] == [END, *(part.since for part in parts[:-1])]
    assert parts[-1].since == window.since
    assert max(part.until - part.since for part in parts) <= 31 * DAY
    assert parts[0].until - parts[0].since <= 2 * DAY


def test_a_window_is_read_from_the_place_of_the_page_on():
    place = Position(END - 3 * DAY, UUID(int=5))

    (part,) = growing(Window(END - 4 * DAY, END), place)

    assert part == Window(END - 4 * DAY, END - 3 * DAY + timedelta(microseconds=1))


def test_of_recounted_days_the_matching_hours_are_read_and_other_days_whole():
    window = Window(END - 3 * DAY, END)

    parts = windows_to_read(window, recounted(1, 3), hours(2, 3, 9, 30, 60))

    assert parts == [
        Window(END - 3 * HOUR, END - HOUR),
        Window(END - 9 * HOUR, END - 8 * HOUR),
        Window(END - 2 * DAY, END - DAY),
        Window(END - 60 * HOUR, END - 59 * HOUR),
    ]


def test_hours_and_days_are_cut_to_the_window():
    window = Window(END - 2 * DAY + HOUR / 2, END - HOUR / 2)

    parts = windows_to_read(window, recounted(1), hours(1))

    assert parts == [Window(END - HOUR, END - HOUR / 2), Window(END - 2 * DAY + HOUR / 2, END - DAY)]


def test_nothing_is_read_where_nothing_can_be():
    assert windows_to_read(Window(END - DAY, END), recounted(1), []) == []


def test_the_time_of_a_sum_is_widened_to_whole_steps():
    window = Window(END + timedelta(minutes=70), END + timedelta(minutes=121))

    assert whole_steps(window, HOUR) == Window(END + HOUR, END + 3 * HOUR)
    assert whole_steps(window, DAY) == Window(END, END + DAY)
    assert whole_steps(Window(END, END + HOUR), HOUR) == Window(END, END + HOUR)


@pytest.mark.parametrize(
    ("filters", "is_asked"),
    [
        (SystemLogFilter(), False),
        (SystemLogFilter(level=["ERROR"]), False),
        (SystemLogFilter(level=["ERROR"], component=["c"]), True),
        (SystemLogFilter(component=["c"], errors_only=True), True),
        (SystemLogFilter(level=["ERROR"], component=["c"], error_type="E"), False),
        (SystemLogFilter(level=["ERROR"], component=["c"], request_id="r"), False),
        (LlmLogFilter(), False),
        (LlmLogFilter(status="error"), True),
        (LlmLogFilter(error_type="E"), True),
        (LlmLogFilter(status="error", request_id="r"), False),
    ],
)
def test_the_rollups_are_asked_where_no_index_knows_better(filters, is_asked):
    assert filters.is_selective_by_counts is is_asked
