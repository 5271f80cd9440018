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
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar

import psycopg
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from logs_db.misdated import Settled, aside_of, dead_letter_batch, drop_if_empty, put_back_batch
from migrator import partitioning
from migrator.partitioning import Partition, Relation, days_between, midnight, partition_name, uncovered_days

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

PARTITIONED_TABLES: Final = ("system_logs", "llm_logs")
NAME_FORMAT: Final = "{table}_{day:%Y_%m_%d}"
DAYS_AHEAD: Final = 7

PAST_DAYS: Final = 30
"""How far back a row of the legacy tables that was moved aside may be dated to be put back."""

FUTURE_DAYS: Final = 8
"""How far ahead of the database's clock a partition is ever made: further is a clock fault."""

ON_DEMAND_PAST_DAYS: Final = 120
"""How far back one is made on demand: 30 days that an event may be older than its entry, 90 that the entry waited."""

BUSY_SECONDS: Final = 10.0
"""How long one change waits for the maintenance lock where it must not be left out, and for others' schema changes."""

_PASSING: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_TRY_LOCK: LiteralString = """
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('headhunter logs maintenance', 0)),
       pg_catalog.set_config('lock_timeout', '1s', true), pg_catalog.set_config('TimeZone', 'UTC', true)
"""


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


class MaintenanceBusyError(psycopg.errors.LockNotAvailable):
    """A peer holds the maintenance lock; it does the same work, so try again later or leave it to the peer."""


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
    work = _Pass(connection, now or _server_time(connection))
    today = work.now.date()
    days = days_between(today, today + timedelta(days=min(days_ahead, FUTURE_DAYS)))
    try:
        for table in map(_relation, PARTITIONED_TABLES):
            if _exists(connection, table, kind="p"):
                for day in uncovered_days(partitioning.read_partitions(connection, table), days):
                    work.created += _change(connection, partial(_add_missing, connection, table, day))
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
    connection: psycopg.Connection[Any], table: str, days: Iterable[date], *, now: datetime | None = None
) -> tuple[str, ...]:
    """
    Make the partitions of *table* that are missing for *days*, and return the names of those that were made here.

    The connection is as for `maintain`.  A peer that is making partitions is waited for, `BUSY_SECONDS` at most.

    Raises:
        psycopg.errors.LockNotAvailable: It took longer; try again.
        psycopg.errors.DuplicateTable: Another table has the partition's name; rename or drop that one.
        ValueError: A day is more than `ON_DEMAND_PAST_DAYS` back or `FUTURE_DAYS` ahead, so some clock is wrong.
    """
    relation, today = _relation(table), (now or _server_time(connection)).date()
    created: list[str] = []
    earliest, latest = today - timedelta(days=ON_DEMAND_PAST_DAYS), today + timedelta(days=FUTURE_DAYS)
    for day in uncovered_days(partitioning.read_partitions(connection, relation), days):
        if not earliest <= day <= latest:
            raise ValueError(
                f"No partition of {table} is made for {day}: by the database's clock today is {today}, and only days "
                f"from {earliest} to {latest} can be right. Nothing was made for it. Set the clock that is wrong."
            )
        created += _change(connection, partial(_add_missing, connection, relation, day), awaits_peer=True)
    return tuple(created)


def list_partitions(connection: psycopg.Connection[Any], table: str) -> list[Partition]:
    """Return the partitions of *table* in the order of their bounds, which are UTC instants; None is without end."""
    return partitioning.read_partitions(connection, _relation(table))


def covered_until(connection: psycopg.Connection[Any], *, now: datetime | None = None) -> dict[str, datetime | None]:
    """
    Return for each log table until when partitions cover the time from today on, without a gap.

    None: today has no partition, or the table is not partitioned.
    """
    start = midnight((now or _server_time(connection)).date())
    return {
        table: partitioning.covered_until(list_partitions(connection, table), start) for table in PARTITIONED_TABLES
    }


def _add_missing(connection: psycopg.Connection[Any], table: Relation, day: date) -> list[str]:
    """Add the partition for *day* unless a peer did so since it was missed; the lock is held by now."""
    partitions = partitioning.read_partitions(connection, table)
    if not uncovered_days(partitions, [day]):
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
    while rows := _change(connection, partial(put_back_batch, connection, table, *window)):
        work.settled += Settled(put_back=rows)
    while rows := _change(connection, partial(dead_letter_batch, connection, table)):
        work.settled += Settled(dead_lettered=rows)
    _change(connection, partial(drop_if_empty, connection, table))


def _change(connection: psycopg.Connection[Any], change: Callable[[], Result], *, awaits_peer: bool = False) -> Result:
    """Make one change in a transaction that holds the maintenance lock; again if others change the tables' schema."""
    if not connection.autocommit:
        raise ValueError("The connection must be in autocommit: each change is a transaction of its own.")

    def attempt() -> Result:
        with connection.transaction():
            row = connection.execute(_TRY_LOCK).fetchone()
            if row is None or not row[0]:
                raise MaintenanceBusyError(
                    "Another process maintains the log tables. Nothing was changed here. Try again in a moment."
                )
            return change()

    def is_worth_another_try(error: BaseException) -> bool:
        return isinstance(error, _PASSING) and (awaits_peer or not isinstance(error, MaintenanceBusyError))

    tries = Retrying(
        retry=retry_if_exception(is_worth_another_try),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        stop=stop_after_delay(BUSY_SECONDS),
        reraise=True,
    )
    return tries(attempt)


def _relation(table: str) -> Relation:
    return Relation("public", table)


def _exists(connection: psycopg.Connection[Any], table: Relation, *, kind: str = "r") -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s) AND c.relkind = %s)",
        (table.quoted, kind),
    ).fetchone()
    return bool(row and row[0])


def _server_time(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT now()").fetchone()
    if row is None:
        raise psycopg.InternalError("The server did not tell the time.")
    time: datetime = row[0]
    return time.astimezone(UTC)
