"""
Dropping what is past its retention, and nothing else.

A pass can be killed at any point, and by another process: each step is either a transaction or found again by the
catalog, in the order mark, detach, archive, drop.  Nothing here stops a writer.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar

import psycopg

from logs_db import detachment, retention_states
from logs_db.maintenance_lock import locked_change
from logs_db.partitions import PARTITIONED_TABLES, list_partitions, server_time
from logs_db.retention_plan import CONFIRM, Fate, Planned, Retention, plan_table
from logs_db.retention_states import TableState
from logs_db.thinning import thin
from migrator.partitioning import Partition, Relation, first_midnight_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logs_db.detachment import Detached

Work = TypeVar("Work")

_LOGIN: Final = re.compile(r"[^\s/@]+:[^\s/@]+@")
"""A user and a password before the host of an address, as a store's packages quote it."""

PASS_SECONDS: Final = 20.0
"""After so long a pass begins nothing new; the next one, a minute later, goes on."""

MOST_CLOCK_DIFFERENCE: Final = timedelta(days=1)
"""By how much the database's clock may differ from ours: one that is wrong would let go of everything."""

_LOCK: LiteralString = "pg_catalog.hashtextextended('headhunter logs retention', 0)"


class NotArchivedError(Exception):
    """A detached partition could not be archived; it is kept, and tried again in the next pass."""


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What becomes of each partition of one table in the next pass."""

    table: str
    days: int | None
    state: TableState
    partitions: list[Planned]


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """
    What one pass did.

    Args:
        skipped: A peer was at it, so all was left to it.
        finalized: Partitions whose detachment had been cut short, and is complete now.
        dropped: Names of the partitions that were dropped.
        freed_bytes: What the disk has back by that.
        thinned_rows: Rows that were deleted from partitions that span many days.
        obstacles: Why something that is due did not go, a sentence each.
    """

    skipped: bool = False
    finalized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    freed_bytes: int = 0
    thinned_rows: int = 0
    obstacles: tuple[str, ...] = ()


def first_look(connection: psycopg.Connection[Any]) -> None:
    """Note that retention sees this database, before anything is written to it; does nothing later on."""
    retention_states.register(connection, PARTITIONED_TABLES)


def confirm(connection: psycopg.Connection[Any], table: str, by: str) -> datetime:
    """Let all rows of *table* that were there before retention go as they grow too old; the midnight it is told by."""
    first_look(connection)
    states = retention_states.read_states(connection) or {}
    until = first_midnight_after(states[table].first_seen_at, timedelta())
    retention_states.consent(connection, table, until, by)
    return until


def read_plan(
    connection: psycopg.Connection[Any],
    retention: Retention,
    *,
    is_archived: bool = False,
    now: datetime | None = None,
) -> list[TablePlan]:
    """What the next pass does with each partition of each table, and why; changes nothing."""
    time_now = now or server_time(connection)
    states = retention_states.read_states(connection) or {}
    plans = []
    for table in PARTITIONED_TABLES:
        days, state = retention.days_of(table), states.get(table, TableState(table, first_seen_at=time_now))
        partitions = list_partitions(connection, table)
        plans.append(
            TablePlan(table, days, state, plan_table(partitions, days, time_now, state, is_archived=is_archived))
        )
    return plans


def run(
    connection: psycopg.Connection[Any],
    retention: Retention,
    *,
    before_drop: Callable[[str, Detached], str | None] | None = None,
    stop: threading.Event | None = None,
    now: datetime | None = None,
) -> RetentionReport:
    """
    Finalise, detach, archive, drop and thin what is due.

    Args:
        connection: In autocommit, of a role that owns the tables, past any pooler, used by nobody else meanwhile.
        retention: For how long each table keeps its rows.
        before_drop: Called with the table's name and what was detached of it, to archive that; returns where it is
            now.  None: that is no archive, so what needs consent is kept.  By any error but one of PostgreSQL it keeps
            the detached partition for the next pass.
        stop: Ends the pass at the next step.
        now: Instead of the database's clock.

    Raises:
        psycopg.Error: It could not be finished; what was done is kept, a later pass does the rest.
    """
    with _alone(connection) as is_alone:
        if not is_alone:
            return RetentionReport(skipped=True)
        work = _Pass(connection, retention, before_drop, stop or threading.Event())
        work.run(now)
        return work.report()


@dataclass
class _Pass:
    connection: psycopg.Connection[Any]
    retention: Retention
    before_drop: Callable[[str, Detached], str | None] | None
    stop: threading.Event
    finalized: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    thinned_rows: int = 0
    obstacles: list[str] = field(default_factory=list)
    end: float = field(default_factory=lambda: time.monotonic() + PASS_SECONDS)

    def report(self) -> RetentionReport:
        return RetentionReport(
            False,
            tuple(self.finalized),
            tuple(self.dropped),
            self.freed_bytes,
            self.thinned_rows,
            tuple(self.obstacles),
        )

    def run(self, now: datetime | None) -> None:
        first_look(self.connection)
        if self._is_clock_strange():
            return
        held_up = {table for table in PARTITIONED_TABLES if not self._unless_locked(table, self._finalize, table)}
        detachment.unmark_attached(self.connection)
        time_now = now or server_time(self.connection)
        due = [each for each in detachment.read_detached(self.connection) if self._is_due(each, time_now)]
        held_up |= {each.table for each in due if not self._unless_locked(each.name, self._let_go, each)}
        plans = read_plan(self.connection, self.retention, is_archived=self.before_drop is not None, now=time_now)
        for plan in plans:
            if plan.table not in held_up:
                self._unless_locked(plan.table, self._work_off, plan)

    def _unless_locked(self, name: str, work: Callable[[Work], bool], on: Work) -> bool:
        """Whether *work* was all done; where somebody locks its table it is left, and other tables have their turn."""
        try:
            return work(on)
        except psycopg.errors.LockNotAvailable as exc:
            self.obstacles.append(f"{name} is left as it is until the next pass: {str(exc).splitlines()[0]}.")
            return False

    def _is_clock_strange(self) -> bool:
        difference = abs(server_time(self.connection) - datetime.now(UTC))
        if difference > MOST_CLOCK_DIFFERENCE:
            self.obstacles.append(
                f"The database's clock and this machine's differ by {difference}: nothing is dropped until the one "
                "that is wrong is set."
            )
        return difference > MOST_CLOCK_DIFFERENCE

    def _finalize(self, table: str) -> bool:
        """Complete what was cut short; whether nothing is pending any more."""
        try:
            self.finalized += detachment.finalize_pending(self.connection, table)
        except psycopg.errors.QueryCanceled:
            self._wait_for_readers(f"A partition of {table}")
            return False
        return True

    def _is_due(self, detached: Detached, now: datetime) -> bool:
        """Whether the settings still let go of it: they may have changed since it was detached."""
        days = self.retention.days_of(detached.table)
        if days is not None and detached.until + timedelta(days=days) <= now:
            return True
        self.obstacles.append(
            f"{detached.name} was detached, and is kept by the settings as they are now. To have its rows in "
            f"{detached.table} again, run: {detachment.attach_statement(detached)}"
        )
        return False

    def _work_off(self, plan: TablePlan) -> bool:
        """Do what is planned, the oldest first; whether nothing of it is left."""
        for planned in plan.partitions:
            if self.stop.is_set() or time.monotonic() > self.end:
                return False
            if planned.fate is Fate.DROPPED and not self._drop(plan.table, planned):
                return False
            if planned.fate is Fate.THINNED and planned.cut_before is not None:
                self._thin(plan.table, planned.partition, planned.cut_before)
        return True

    def _drop(self, table: str, planned: Planned) -> bool:
        """Detach a partition and let it go; whether others may follow."""
        partition, until = planned.partition, planned.partition.upper
        if until is None:
            return True
        mark = partial(detachment.mark, self.connection, table, partition, until)
        marked = locked_change(self.connection, mark, awaits_peer=True)
        try:
            detachment.detach(self.connection, marked)
        except psycopg.errors.QueryCanceled:
            self._wait_for_readers(partition.name)
            return False
        return self._let_go(marked)

    def _thin(self, table: str, partition: Partition, before: datetime) -> None:
        # Noted first, so that nobody counts a day anew of which a part is gone.
        note = partial(retention_states.keep_since, self.connection, table, before)
        locked_change(self.connection, note, awaits_peer=True)
        self.thinned_rows += thin(self.connection, Relation("public", partition.name), before, self.stop)

    def _let_go(self, detached: Detached) -> bool:
        """Archive where that is wanted, then drop; whether it is gone."""
        try:
            archive = self.before_drop(detached.table, detached) if self.before_drop else None
        except psycopg.Error:
            raise
        except Exception as exc:  # noqa: BLE001 - a store's own packages raise what they like at a wrong address
            why = str(exc) if isinstance(exc, NotArchivedError | OSError) else f"{type(exc).__name__}: {exc}"
            told = _LOGIN.sub("...@", why)
            self.obstacles.append(f"{detached.name} is detached and kept, because it is in no archive: {told}")
            return False
        if archive is not None:
            retention_states.consent(self.connection, detached.table, detached.until, f"the archive {archive}")
        states = retention_states.read_states(self.connection) or {}
        if not states[detached.table].may_lose(detached.since, detached.until):
            self.obstacles.append(f"{detached.name} is detached and kept until that is agreed: {CONFIRM}.")
            return False
        change = partial(detachment.drop, self.connection, detached, archive)
        self.freed_bytes += locked_change(self.connection, change, awaits_peer=True)
        self.dropped.append(detached.name)
        return True

    def _wait_for_readers(self, what: str) -> None:
        self.obstacles.append(
            f"{what} goes once the transactions end that used its table before; pg_stat_activity shows them by "
            "xact_start."
        )


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[bool]:
    """Hold the lock of retention for the block; False where a peer has it."""
    row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(" + _LOCK + ")").fetchone()
    is_alone = bool(row and row[0])
    try:
        yield is_alone
    finally:
        if is_alone and not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(" + _LOCK + ")")
