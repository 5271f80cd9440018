"""The events of one request or trace, of both tables; and one event by its id alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from logs_db.queries.filters import LlmLogFilter, SystemLogFilter
from logs_db.queries.pages import Stretch, page
from logs_db.queries.statement import Window, in_utc

if TYPE_CHECKING:
    from uuid import UUID

    from logs_db.queries.filters import LogFilter
    from logs_db.queries.statement import PageQuery

TOLERANCES: Final = (timedelta(seconds=2), timedelta(minutes=5), timedelta(days=1))
"""How far the time in an id and the event's may differ, in the order of trying: producers take both at once."""

_VERSION_7: Final = 7


class TimelessIdError(ValueError):
    """It cannot be told where to look for an event; the message says what to give."""


class EventNotFoundError(LookupError):
    """There is no such event where it was looked for; the message says where that was."""


def story(window: Window, *, request_id: str | None, trace_id: str | None, limit: int) -> dict[str, PageQuery]:
    """The *limit* newest events of one request, or trace, by table; columns as in the table, without payloads."""
    filters: tuple[LogFilter, ...] = (
        SystemLogFilter(request_id=request_id, trace_id=trace_id),
        LlmLogFilter(request_id=request_id, trace_id=trace_id),
    )
    return {each.rows.__tablename__: page(each, Stretch((window,)), limit=limit) for each in filters}


def windows_of_id(event_id: UUID, created_at: datetime | None) -> list[Window]:
    """
    Where to look for an event: around *created_at*, else around the time inside its id, ever wider.

    Raises:
        TimelessIdError: There is no such time.
    """
    if created_at is None and event_id.version != _VERSION_7:
        raise TimelessIdError(
            "This id holds no time, for it is no UUIDv7: give created_at too, as the event was shown with."
        )
    try:
        middle = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC) if created_at is None else in_utc(created_at)
        return [Window(middle - tolerance, middle + tolerance) for tolerance in TOLERANCES]
    except (OverflowError, ValueError):
        raise TimelessIdError("The time of this event lies outside the years that are served: 1 to 9999.") from None


def event(table: str, event_id: UUID, window: Window) -> PageQuery:
    """The event *event_id* of *table* if it is in *window*, with prompt and response; columns as in the table."""
    filters: LogFilter = SystemLogFilter(id=event_id) if table == "system_logs" else LlmLogFilter(id=event_id)
    return page(filters, Stretch((window,)), limit=1, payloads=True)
