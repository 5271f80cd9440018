"""What a read of the log tables is made of: a window of time, a place in it, and a statement with its parameters."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a read covers: *since* included, *until* not.  It bounds how many partitions are opened."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of a table's rows: its primary key."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A statement and its parameters, for ``execute`` or ``stream`` of a psycopg cursor."""

    statement: sql.Composed
    parameters: dict[str, object]


def in_utc(moment: datetime) -> datetime:
    """
    *moment* in UTC; without a zone it is taken to be.

    Raises:
        OverflowError: It lies outside the years 1 to 9999 there.
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
