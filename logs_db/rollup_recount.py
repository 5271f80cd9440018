"""
Counting whole days from their rows, once each is over: what nobody counted as it was written is in the sums from then.

That is what clients and workers from before the rollups wrote, and all that was there when the rollups came.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import IsolationLevel, sql

from logs_db.partitions import server_time
from logs_db.retention_states import read_kept_since
from logs_db.rollups import ABOVE_MS, ROLLUP_MINUTE_DAYS, ROLLUPS, Rollup, holding_lock
from migrator.partitioning import DAY, midnight

if TYPE_CHECKING:
    import psycopg

logger = logging.getLogger(__name__)

SETTLED_AFTER: Final = DAY
"""How long after its end a day is counted: most late events are there by then, and later ones come with deltas."""

LONGEST_SECONDS: Final = 900
"""What the count of one day may take; one that takes longer is tried again."""

# The bounds leave out what no datetime holds: infinity, and the years before the first.
_NEXT_ROW: LiteralString = """
SELECT (created_at AT TIME ZONE 'UTC')::date FROM {table}
WHERE created_at >= %(since)s AND created_at < %(until)s ORDER BY created_at LIMIT 1
"""
_DONE: LiteralString = "SELECT (day AT TIME ZONE 'UTC')::date FROM public.rollup_days WHERE table_name = %s"
# Shared, so that retention, which notes first and drops then, waits for the end of the count.
_STILL_KEPT: LiteralString = """
SELECT coalesce((SELECT kept_since FROM public.retention_states WHERE table_name = %s FOR SHARE), '-infinity') <= %s
"""
_CLEAR: LiteralString = "DELETE FROM {table} WHERE {start} >= %(since)s AND {start} < %(until)s"
_COUNT: LiteralString = """
WITH counted AS MATERIALIZED (
    SELECT date_bin('1 minute', created_at, timestamptz '2000-01-01 00:00+00') AS minute, {key_of_rows}, {sums_of_rows}
    FROM {source} WHERE created_at >= %(since)s AND created_at < %(until)s AND {condition} GROUP BY {places}
)"""
_PUT: LiteralString = """, {folding} AS (
    INSERT INTO {table} ({start}, {key}, {sums})
    SELECT date_bin({step}, minute, timestamptz '2000-01-01 00:00+00'), {key}, {summed}
    FROM counted GROUP BY {places}
)"""
_TOTAL: LiteralString = " SELECT coalesce(sum({first_sum}), 0)::bigint FROM counted"
_NOTE: LiteralString = """
INSERT INTO public.rollup_days (table_name, day, events, counted_at)
SELECT %s, %s, %s, clock_timestamp() ON CONFLICT (table_name, day) DO UPDATE
SET events = excluded.events, counted_at = excluded.counted_at
"""


@dataclass(frozen=True, slots=True)
class CountedDay:
    """A day of a table that was counted from its rows; *day* is its first instant, in UTC."""

    table: str
    day: datetime
    events: int


def recount_next_day(connection: psycopg.Connection[Any], *, now: datetime | None = None) -> list[CountedDay]:
    """
    Count the oldest day of each table that has rows, is over and was not counted yet.

    Args:
        connection: In autocommit, of a role that owns the tables.
        now: Instead of the database's clock.

    Raises:
        psycopg.Error: The day was not counted; try again.
    """
    until = (now or server_time(connection)) - SETTLED_AFTER
    counted = []
    for table in dict.fromkeys(rollup.source for rollup in ROLLUPS):
        day = next_day(connection, table, until)
        if day is not None:
            counted += recount(connection, table, day)
    return counted


def next_day(connection: psycopg.Connection[Any], table: str, until: datetime) -> datetime | None:
    """The oldest day of *table*, over by *until*, that has rows and was not counted; None: there is none."""
    statement = sql.SQL(_NEXT_ROW).format(table=sql.Identifier("public", table))
    counted = {midnight(day) for (day,) in connection.execute(_DONE, [table])}
    since = read_kept_since(connection, table) or datetime.min.replace(tzinfo=UTC)
    while True:
        row = connection.execute(statement, {"since": since, "until": midnight(until.date())}).fetchone()
        if row is None:
            return None
        since = midnight(row[0])
        if since not in counted:
            return since
        # One look for each gap between counted days, not for each day.
        while since in counted:
            since += DAY


def recount(connection: psycopg.Connection[Any], table: str, day: datetime) -> list[CountedDay]:
    """
    Put in place of the sums of *day* what its rows come to; nothing is done where another process folds or counts.

    Rows that are being written meanwhile bring deltas that this does not see, and which are folded later.
    """
    started = time.monotonic()
    with holding_lock(connection) as is_ours:
        events = _recount(connection, table, day) if is_ours else None
    if events is None:
        return []
    extra = {"event": "rollup_day_counted", "table": table, "day": f"{day:%Y-%m-%d}", "events": events}
    logger.info("a day of the rollups was counted from its rows", extra=extra | {"seconds": time.monotonic() - started})
    return [CountedDay(table, day, events)]


def _recount(connection: psycopg.Connection[Any], table: str, day: datetime) -> int | None:
    """How many rows were counted; None: the day was dropped, and its sums stay what they were."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            if not _is_kept(connection, table, day):
                return None
            events, *_ = [_replace(connection, rollup, day) for rollup in ROLLUPS if rollup.source == table]
            connection.execute(_NOTE, [table, day, events])
            return events
    finally:
        connection.isolation_level = None


def _is_kept(connection: psycopg.Connection[Any], table: str, day: datetime) -> bool:
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LONGEST_SECONDS}s"])
    row = connection.execute(_STILL_KEPT, [table, day]).fetchone()
    return bool(row and row[0])


def _replace(connection: psycopg.Connection[Any], rollup: Rollup, day: datetime) -> int:
    bounds = {"since": day, "until": day + DAY}
    for table, unit in [(rollup.deltas, "minute"), *rollup.folded]:
        connection.execute(rollup.statement(_CLEAR, table=table, unit=unit), bounds)
    tables = [table for table in rollup.folded if table[1] == "hour" or _has_minutes(connection, day)]
    puts = [rollup.statement(_PUT, table=table, unit=unit) for table, unit in tables]
    statement = sql.Composed([rollup.statement(_COUNT), *puts, rollup.statement(_TOTAL)])
    row = connection.execute(statement, bounds | {"above_ms": ABOVE_MS}).fetchone()
    return row[0] if row else 0


def _has_minutes(connection: psycopg.Connection[Any], day: datetime) -> bool:
    """Whether sums by minute are still kept for *day*."""
    return server_time(connection) - day < timedelta(days=ROLLUP_MINUTE_DAYS)
