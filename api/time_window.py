"""The time bound of every read of logs: given, defaulted, and never longer than a year."""

from datetime import datetime, timedelta
from typing import Final

from logs_db.queries.statement import Window, in_utc

SEARCH_SPAN: Final = timedelta(hours=24)
LONGEST_SEARCH: Final = timedelta(days=366)
"""What one search may cover; it reads so much in parts, from the newest on, and stops when its page is full."""
AHEAD: Final = timedelta(days=1)
"""How far into the future events are accepted; a read without an end shows them too, they tell of a wrong clock."""


class TimeWindowError(ValueError):
    """The window is empty, too long, or beyond what a clock can show; the message says which."""


def time_window(
    since: datetime | None,
    until: datetime | None,
    now: datetime,
    *,
    default: timedelta = SEARCH_SPAN,
    longest: timedelta = LONGEST_SEARCH,
) -> Window:
    """
    The window that *since* and *until* ask for; a time without a zone is taken as UTC.

    Without *since* it begins *default*, 24 hours, before *until*, or before *now*; without *until* it has no end, which
    is *now* and the day beyond that events may be dated.

    Raises:
        TimeWindowError: Such a window is not served.
    """
    try:
        end = now + AHEAD if until is None else in_utc(until)
        begin = (now if until is None else end) - default if since is None else in_utc(since)
    except OverflowError:
        raise TimeWindowError("since and until must lie within the years 1 to 9999.") from None
    if begin >= end:
        raise TimeWindowError("since must be earlier than until: the window is empty.")
    # An open end counts as now: the last 366 days are 366 days.
    if (now if until is None else end) - begin > longest:
        raise TimeWindowError(
            f"The window is longer than {longest.days} days: give since and until closer together, "
            "and read a longer time in several windows."
        )
    return Window(begin, end)
