"""
The daily partitions of the log tables: made ahead by whichever worker comes first, and on demand for a missing day.

Neither stops ingest.  Every change is a transaction of its own that holds the maintenance lock, which a pass never
waits for: whoever does not get it leaves the work to the one who has it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psycopg

from logs_db.maintenance_lock import MaintenanceBusyError, locked_change
from logs_db.misdated import Settled, aside_of, dead_letter_batch, drop_if_empty, put_back_batch
from logs_db.retention_states import read_kept_since
from migrator import partitioning
from migrator.partitioning import DAY, Partition, Relation, days_between, midnight, partition_name, uncovered_days

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

logger = logging.getLogger(__name__)

PARTITIONED_TABLES: Final = ("system_logs", "llm_logs", "llm_payloads")
NAME_FORMAT: Final = "{table}_{day:%Y_%m_%d}"
DAYS_AHEAD: Final = 7

PAST_DAYS: Final = 30
"""How far back a row of the legacy tables that was moved aside may be dated to be put back."""

FUTURE_DAYS: Final = 8
"""How far ahead of the database's clock a partition is ever made: further is a clock fault."""

ON_DEMAND_PAST_DAYS: Final = 120
"""How far back one is made on demand: 30 days that an event may be older than its entry, 90 that the entry waited."""


@dataclass(frozen=True)
class MaintenanceReport:
    """
    What one pass did.

    Args:
        skipped: A peer was at it, so the rest was left to it.
        created: Names of the partitions that were made.
        put_back_rows: Misdated legacy rows that went back into their tables.
        dead_lettered_rows: Misdated legacy rows that became dead letters.
    """

    skipped: bool = False
    created: tuple[str, ...] = ()
    put_back_rows: int = 0
    dead_lettered_rows: int = 0


@dataclass
class _Pass:
    """The changes of one pass, counted as they are made."""

    connection: psycopg.Connection[Any]
    now: datetime
    created: list[str] = field(default_factory=list)
    settled: Settled = field(default_factory=Settled)

    def report(self, *, skipped: bool) -> MaintenanceReport:
        return MaintenanceReport(skipped, tuple(self.created), self.settled.put_back, self.settled.dead_lettered)


def maintain(
    connection: psycopg.Connection[Any], *, days_ahead: int = DAYS_AHEAD, now: datetime | None = None
) -> MaintenanceReport:
    """
    Make the partitions from today to *days_ahead* from today, and settle what the conversion moved aside.

    Args:
        connection: In autocommit, of a role that owns the tables, past any pooler.
        days_ahead: At most `FUTURE_DAYS` have an effect.
        now: Instead of the database's clock.

    Raises:
        psycopg.Error: It could not be finished; what was done is kept, a later pass does the rest.
    """
    work = _Pass(connection, now or server_time(connection))
    today = work.now.date()
    days = days_between(today, today + timedelta(days=min(days_ahead, FUTURE_DAYS)))
    try:
        tables = [table for table in map(_relation, PARTITIONED_TABLES) if _exists(connection, table, kind="p")]
        for table in tables:
            for day in uncovered_days(partitioning.read_partitions(connection, table), days):
                work.created += locked_change(connection, partial(_add_missing, connection, table, day))
        # Last, so that rows which cannot be settled leave no table without its days.
        for table in tables:
            _settle_aside(work, table)
    except MaintenanceBusyError:
        return work.report(skipped=True)
    report = work.report(skipped=False)
    if report != MaintenanceReport():
        logger.info(
            "the log tables were maintained",
            extra={
                "event": "partitions_maintained",
                "partitions_made": len(report.created),
                "rows_put_back": report.put_back_rows,
                "rows_dead_lettered": report.dead_lettered_rows,
            },
        )
    return report


def ensure_days(
    connection: psycopg.Connection[Any],
    table: str,
    days: Iterable[date],
    *,
    past_days: int = ON_DEMAND_PAST_DAYS,
    now: datetime | None = None,
) -> tuple[str, ...]:
    """
    Make the partitions of *table* that are missing for *days*, and return the names of those that were made here.

    None is made for a day that retention has dropped: see `read_kept_since`.
    The connection is as for `maintain`.  A peer that is making partitions is waited for, 10 s at most.

    Raises:
        psycopg.errors.LockNotAvailable: It took longer; try again.
        psycopg.errors.DuplicateTable: Another table has the partition's name; rename or drop that one.
        ValueError: A day is more than *past_days* back or `FUTURE_DAYS` ahead, so some clock is wrong; or another
            partition covers a part of it.
    """
    relation, today = _relation(table), (now or server_time(connection)).date()
    created: list[str] = []
    kept_since = read_kept_since(connection, table)
    kept_days = [day for day in days if kept_since is None or midnight(day) >= kept_since]
    earliest, latest = today - timedelta(days=past_days), today + timedelta(days=FUTURE_DAYS)
    partitions = partitioning.read_partitions(connection, relation)
    missing = uncovered_days(partitions, kept_days)
    for day in missing:
        if not earliest <= day <= latest:
            raise ValueError(
                f"No partition of {table} is made for {day}: by the database's clock today is {today}, and only days "
                f"from {earliest} to {latest} can be right. Nothing was made for it. Set the clock that is wrong."
            )
        created += locked_change(connection, partial(_add_missing, connection, relation, day), awaits_peer=True)
    for day in set(kept_days) - set(missing):
        if (partitioning.covered_until(partitions, midnight(day)) or midnight(day)) < midnight(day) + DAY:
            raise ValueError(
                f"No partition of {table} is made for {day}: another one covers a part of it. Nothing was changed for "
                "it. Detach that one, and move its rows."
            )
    return tuple(created)


def list_partitions(connection: psycopg.Connection[Any], table: str) -> list[Partition]:
    """Return the partitions of *table* in the order of their bounds, which are UTC instants; None is without end."""
    return partitioning.read_partitions(connection, _relation(table))


def covered_until(connection: psycopg.Connection[Any], *, now: datetime | None = None) -> dict[str, datetime | None]:
    """
    Return for each log table until when partitions cover the time from today on, without a gap.

    None: today has no partition, or the table is not partitioned.
    """
    start = midnight((now or server_time(connection)).date())
    return {
        table: partitioning.covered_until(list_partitions(connection, table), start) for table in PARTITIONED_TABLES
    }


def _add_missing(connection: psycopg.Connection[Any], table: Relation, day: date) -> list[str]:
    """Add the partition for *day* unless a peer did so, or dropped it, since it was missed; the lock is held by now."""
    partitions = partitioning.read_partitions(connection, table)
    kept_since = read_kept_since(connection, table.name)
    if not uncovered_days(partitions, [day]) or (kept_since is not None and midnight(day) < kept_since):
        return []
    newest = table.named(partitions[-1].name) if partitions else table
    partition = table.named(partition_name(NAME_FORMAT, table.name, day))
    storage = partitioning.read_storage(connection, newest)
    try:
        partitioning.add_day(connection, table, partition, day, storage)
    except psycopg.errors.DuplicateTable as error:
        raise psycopg.errors.DuplicateTable(
            f"The partition {partition} cannot be made, because another table has its name. Nothing was changed. "
            "Rename or drop that one."
        ) from error
    return [partition.name]


def _settle_aside(work: _Pass, table: Relation) -> None:
    """Put back or dead-letter what the conversion moved aside, and drop the side table once it is empty."""
    connection, aside = work.connection, aside_of(table)
    if not (_exists(connection, aside) and _exists(connection, _relation("dead_letters"))):
        return
    window = (work.now - timedelta(days=PAST_DAYS), work.now + timedelta(days=FUTURE_DAYS))
    while rows := locked_change(connection, partial(put_back_batch, connection, table, *window)):
        work.settled += Settled(put_back=rows)
    while rows := locked_change(connection, partial(dead_letter_batch, connection, table)):
        work.settled += Settled(dead_lettered=rows)
    locked_change(connection, partial(drop_if_empty, connection, table))


def _relation(table: str) -> Relation:
    return Relation("public", table)


def _exists(connection: psycopg.Connection[Any], table: Relation, *, kind: str = "r") -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s) AND c.relkind = %s)",
        (table.quoted, kind),
    ).fetchone()
    return bool(row and row[0])


def server_time(connection: psycopg.Connection[Any]) -> datetime:
    """The time by the database's clock, in UTC."""
    row = connection.execute("SELECT now()").fetchone()
    if row is None:
        raise psycopg.InternalError("The server did not tell the time.")
    time: datetime = row[0]
    return time.astimezone(UTC)
