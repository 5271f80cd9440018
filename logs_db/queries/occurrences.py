"""
Where in time rows of a filter are, by the rollups: hours without a match need not be read.

Only days that were recounted since they were over are believed.  Others, above all today, are read as they are: clients
of before the rollups write rows that nothing counts until the day is over.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db.queries.pages import table_of
from logs_db.queries.statement import PageQuery, Window
from migrator.partitioning import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from logs_db.queries.filters import LogFilter

HOUR: Final = timedelta(hours=1)

_RECOUNTED: LiteralString = """
SELECT day FROM public.rollup_days
WHERE table_name = %(table_name)s AND day > %(since)s::timestamptz - interval '1 day' AND day < %(until)s
"""
_HOURS: LiteralString = """
SELECT hour FROM {hours} WHERE hour > %(since)s::timestamptz - interval '1 hour' AND hour < %(until)s AND {conditions}
UNION
SELECT date_trunc('hour', minute, 'UTC') FROM {deltas}
WHERE minute > %(since)s::timestamptz - interval '1 minute' AND minute < %(until)s AND {conditions}
ORDER BY hour DESC
"""


def recounted_days(filters: LogFilter, window: Window) -> PageQuery:
    """The days of *window* whose counts are whole, a row each: `day`."""
    parameters: dict[str, object] = {"since": window.since, "until": window.until}
    return PageQuery(sql.Composed([sql.SQL(_RECOUNTED)]), parameters | {"table_name": filters.rows.__tablename__})


def matching_hours(filters: LogFilter, window: Window) -> PageQuery:
    """The hours of *window* that have rows of *filters*, or of some of its conditions; newest first, a row each."""
    conditions = filters.counted_conditions
    statement = sql.SQL(_HOURS).format(
        hours=table_of(filters.hours),
        deltas=table_of(filters.deltas),
        conditions=sql.SQL(" AND ").join(conditions.parts),
    )
    return PageQuery(statement, conditions.parameters | {"since": window.since, "until": window.until})


def windows_to_read(
    window: Window, recounted: Iterable[dict[str, Any]], hours: Sequence[dict[str, Any]]
) -> list[Window]:
    """What of *window* may hold rows, the newest first: matching hours of recounted days, other days whole."""
    known = {row["day"].astimezone(UTC) for row in recounted}
    spans = [(hour, hour + HOUR) for row in hours if _day(hour := row["hour"].astimezone(UTC)) in known]
    day = _day(window.since)
    while day < window.until:
        if day not in known:
            spans.append((day, day + DAY))
        day += DAY
    return _joined(window, sorted(spans, reverse=True))


def _joined(window: Window, spans: Iterable[tuple[datetime, datetime]]) -> list[Window]:
    """*spans* within *window*, those that touch as one."""
    found: list[Window] = []
    for since, until in spans:
        since, until = max(since, window.since), min(until, window.until)  # noqa: PLW2901 - the same span, cut
        if found and found[-1].since == until:
            found[-1] = Window(since, found[-1].until)
        elif since < until:
            found.append(Window(since, until))
    return found


def _day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
