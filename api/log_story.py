"""A request's whole story, and one event by its id, out of both tables."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from api.log_reader import LogSession
from logs_db.queries import Window
from logs_db.queries.story import EventNotFoundError, event, story, windows_of_id

DEFAULT_SPAN: Final = timedelta(days=30)
TRACE_SPAN: Final = timedelta(days=1)
"""Where a trace is looked for unless more is asked: an index for traces costs ingest what that for requests does."""
LONGEST_SPAN: Final = timedelta(days=31)

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
        is_complete: If not, the oldest are left out.
    """

    events: list[LogEvent]
    is_complete: bool


async def read_story(
    session: LogSession, window: Window, *, request_id: str | None, trace_id: str | None, limit: int
) -> Story:
    """
    The *limit* newest events of each table; give one of the two ids.

    Raises:
        psycopg.Error: The database is away, silent, or refused the query.
    """
    events: list[LogEvent] = []
    is_complete = True
    for table, query in story(window, request_id=request_id, trace_id=trace_id, limit=limit + 1).items():
        found = await session.page(query, limit)
        events += [LogEvent(table, row) for row in found.rows]
        is_complete = is_complete and not found.has_more
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
