"""A request's whole story, and one event by its id, out of both tables."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from api.log_reader import PAGE_MAX_BYTES, LogSession
from logs_db.queries import Window
from logs_db.queries.story import EventNotFoundError, event, story, windows_of_id

STORY_SPAN: Final = timedelta(days=30)
TRACE_SPAN: Final = timedelta(days=1)
"""Where a trace is looked for unless more is asked: an index for traces costs ingest what that for requests does."""
LONGEST_STORY: Final = timedelta(days=31)
TABLE_MAX_BYTES: Final = PAGE_MAX_BYTES // 2
"""What the events of each table may take: many of one leave room for those of the other."""

TABLES: Final = ("system_logs", "llm_logs")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A row, and the table that it is of."""

    table: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """
    The events of one request or trace, the oldest first.

    Args:
        is_complete: If not, the oldest are left out: all that are older than those shown, of both tables.
    """

    events: list[LogEvent]
    is_complete: bool


async def read_story(
    session: LogSession, window: Window, *, request_id: str | None, trace_id: str | None, limit: int
) -> Story:
    """
    The newest events, at most *limit* of each table, without a hole: where one table ends, both do.

    Give one of the two ids.

    Raises:
        psycopg.Error: The database is away, silent, or refused the query.
    """
    events: list[LogEvent] = []
    begin, is_complete = window.since, True
    queries = story(window, request_id=request_id, trace_id=trace_id, limit=limit + 1)
    for table, query in queries.items():
        found = await session.part(query, limit, TABLE_MAX_BYTES)
        events += [LogEvent(table, row) for row in found.rows]
        if found.has_more:
            begin, is_complete = max(begin, found.rows[-1]["created_at"]), False
    events = [one for one in events if one.row["created_at"] >= begin]
    return Story(sorted(events, key=lambda one: (one.row["created_at"], one.row["id"])), is_complete)


async def find_event(session: LogSession, event_id: UUID, created_at: datetime | None) -> LogEvent:
    """
    The event with this id, with prompt and response.

    Raises:
        TimelessIdError: It cannot be told where to look.
        EventNotFoundError: It is not there.
        psycopg.Error: The database is away, silent, or refused the query.
    """
    windows = windows_of_id(event_id, created_at)
    for window in windows:
        for table in TABLES:
            if rows := await session.all(event(table, event_id, window)):
                return LogEvent(table, rows[0])
    since, until = windows[-1].since, windows[-1].until
    raise EventNotFoundError(
        f"There is no event with this id between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC, "
        "around its time: give created_at if it was logged at another."
    )
