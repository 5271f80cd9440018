"""
Rows changed in batches: each a short transaction, in the order of the primary key, with pauses that leave others room.

That a row is done is judged by the condition, which matches it no longer; the position only spares a resumed run what
an earlier one has looked at.  So a run that is killed loses one batch, and one that is run twice changes nothing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from migrator.classifier import sentence
from migrator.errors import PermanentError, TemporaryError
from migrator.ops.batch_position import BatchPosition
from migrator.ops.indexes import as_written
from migrator.ops.row_key import RowKey, read_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrator.partitioning import Relation

logger = logging.getLogger(__name__)

FIRST_ROWS = 100
TARGET_SECONDS = 0.2
# Below PostgreSQL's deadlock_timeout of a second, so that it is always the batch that gives way, and never a client.
LOCK_WAIT_MS = 400
BATCH_SECONDS = 60
LOCKED_BUDGET_SECONDS = 600.0
PROGRESS_SECONDS = 10.0
MAX_PAUSE_SECONDS = 5.0
MAX_WALKS = 3
"""How often the table is gone through, as long as clients write rows that match meanwhile."""

_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.errors.RaiseException)
_ESTIMATE: LiteralString = """
SELECT pg_catalog.sum(c.reltuples)::bigint
FROM pg_catalog.pg_class c
WHERE c.relkind = 'r' AND c.reltuples >= 0
  AND (c.oid = pg_catalog.to_regclass(%(table)s)
       OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(table)s))))
"""
_SETTINGS = sql.SQL("SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; SET LOCAL DateStyle = ISO").format(
    sql.Literal(LOCK_WAIT_MS), sql.Literal(BATCH_SECONDS * 1000)
)


@dataclass(frozen=True)
class BatchedChange:
    """
    What a revision wants to have done.

    Args:
        table: Where.
        change: `SET column = expression, ...` or `DELETE`; it stands in the statement as it is.
        where: Which rows; the same.
        batch_rows: How many rows a batch looks at, at most.
        duty: Which share of the time may be spent at work, the rest is pause; 1: no pause.
    """

    table: Relation
    change: str
    where: str
    batch_rows: int
    duty: float

    @property
    def deletes(self) -> bool:
        """Whether rows go."""
        return self.change.strip().upper() == "DELETE"

    def statement(self, within: sql.Composable | None = None) -> sql.Composed:
        """Return the statement that does it, to the rows *within* that condition only."""
        limits = [] if within is None else [within]
        where = sql.SQL(" AND ").join([*limits, sql.SQL("({})").format(as_written(self.where))])
        if self.deletes:
            return sql.SQL("DELETE FROM {} WHERE {}").format(self.table.identifier, where)
        return sql.SQL("UPDATE {} {} WHERE {}").format(self.table.identifier, as_written(self.change.strip()), where)


class Pace:
    """How many rows the next batch takes, and how long others are left alone before it."""

    def __init__(self, change: BatchedChange) -> None:
        self._limit = change.batch_rows
        self._duty = change.duty
        self.rows = min(FIRST_ROWS, self._limit)

    def shrink(self) -> None:
        """Hold fewer locks next time, because somebody was in the way."""
        self.rows = max(1, self.rows // 2)

    def pause_after(self, seconds: float) -> float:
        """Return the pause after a batch that took *seconds*, and adapt the next one's size."""
        wanted = int(self.rows * TARGET_SECONDS / max(seconds, 0.001))
        self.rows = max(1, min(self._limit, self.rows * 2, wanted))
        return min(MAX_PAUSE_SECONDS, seconds * (1 - self._duty) / self._duty)


def change_in_batches(connection: psycopg.Connection[Any], change: BatchedChange) -> None:
    """
    Change every row that matches, also those that clients add meanwhile, without stopping anybody.

    The connection is outside a transaction, in UTC (see `online_session`).

    Raises:
        PermanentError: No primary key, a change that leaves its rows matching, or one that the server refuses.
        TemporaryError: A row stayed locked, or a batch took too long; all batches before it are kept.
    """
    walk = _Walk(connection, change, read_key(connection, change.table))
    for _ in range(MAX_WALKS):
        if not walk.is_under_way and not walk.is_due():
            return
        walk.go()
    if walk.is_due():
        logger.warning(
            "clients go on writing rows that match the condition of a change in batches; those are left as they are",
            extra={"event": "batches_outrun", "table": str(change.table), "walks": MAX_WALKS},
        )


class _Walk:
    """One way through the table, from where it is to the last row."""

    def __init__(self, connection: psycopg.Connection[Any], change: BatchedChange, key: RowKey) -> None:
        self._connection = connection
        self._change = change
        self._key = key
        identity = [change.table.quoted, change.change, change.where, key.columns, key.types]
        self._position = BatchPosition(connection, str(change.table), identity)
        self._start, self._seen_rows, self._changed_rows = self._position.read()

    @property
    def is_under_way(self) -> bool:
        """Whether an earlier run, or this one, has begun it and not ended it."""
        return self._start is not None

    def is_due(self) -> bool:
        """Whether any row matches."""
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE ({}))")
        row = self._execute(statement.format(self._change.table.identifier, as_written(self._change.where)))
        return bool(row and row[0])

    def go(self) -> None:
        """Change what matches, batch by batch."""
        pace = Pace(self._change)
        told = time.monotonic()
        while True:
            begun = time.monotonic()
            self._start = self._patient_batch(pace)
            if self._start is None:
                self._tell("rows were changed in batches", "batches_done")
                self._seen_rows = self._changed_rows = 0
                return
            if time.monotonic() - told > PROGRESS_SECONDS:
                self._tell("rows are being changed in batches", "batches_progress")
                told = time.monotonic()
            time.sleep(pace.pause_after(time.monotonic() - begun))

    def _patient_batch(self, pace: Pace) -> list[str] | None:
        tries = Retrying(
            retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            stop=stop_after_delay(LOCKED_BUDGET_SECONDS),
            before_sleep=lambda state: self._give_way(pace, state),
            reraise=True,
        )
        try:
            return tries(lambda: self._batch(pace.rows))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise TemporaryError(
                f"Rows of {self._change.table} stayed locked by another session for {LOCKED_BUDGET_SECONDS:g} s. "
                f"{self._kept} End that session or wait, then start again: it goes on where it is."
            ) from error

    def _give_way(self, pace: Pace, state: RetryCallState) -> None:
        pace.shrink()
        if state.attempt_number == 1:
            extra = {"event": "batch_delayed", "table": str(self._change.table), "rows": pace.rows}
            logger.info("another session has locked a row of the next batch; waiting for it", extra=extra)

    def _batch(self, rows: int) -> list[str] | None:
        """Do the next batch; return where it ended, None at the end of the table."""
        with self._connection.transaction():
            self._connection.execute(_SETTINGS)
            end = self._end_of_batch(rows)
            changed = self._change_up_to(end)
            if end is None:
                self._position.forget()
            else:
                self._position.save(end, seen=rows, changed=changed)
        self._seen_rows += rows if end is not None else 0
        self._changed_rows += changed
        return end

    def _end_of_batch(self, rows: int) -> list[str] | None:
        statement = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
            self._key.as_texts,
            self._change.table.identifier,
            self._key.between(self._start, None),
            self._key.listed,
            sql.Literal(rows - 1),
        )
        row = self._execute(statement)
        return None if row is None else list(row[0])

    def _change_up_to(self, end: Sequence[str] | None) -> int:
        statement = sql.SQL(
            "WITH changed AS ({} RETURNING ({}) AS still_matches) "
            "SELECT count(*), count(*) FILTER (WHERE still_matches) FROM changed"
        ).format(self._change.statement(self._key.between(self._start, end)), as_written(self._change.where))
        row = self._execute(statement) or (0, 0)
        if row[1] and not self._change.deletes:
            raise PermanentError(
                f"{row[1]} rows of {self._change.table} still match the condition `{self._change.where}` after "
                f"`{self._change.change}`, so nobody could tell which are done. {self._kept} Correct the revision: "
                "what is changed must match no longer."
            )
        return int(row[0])

    def _execute(self, statement: sql.Composed) -> tuple[Any, ...] | None:
        try:
            return self._connection.execute(statement).fetchone()
        except _REFUSED as error:
            raise PermanentError(
                f"Rows of {self._change.table} cannot be changed in batches: {sentence(error)}. {self._kept} Correct "
                "the revision or the rows, then start again."
            ) from error
        except psycopg.errors.QueryCanceled as error:
            raise TemporaryError(
                f"A batch of {self._change.table} was cancelled, or took longer than {BATCH_SECONDS} s. {self._kept} "
                "Start again: it goes on where it is, with small batches first."
            ) from error

    @property
    def _kept(self) -> str:
        return f"The batch was undone, {self._changed_rows} rows changed by those before it are kept."

    def _tell(self, message: str, event: str) -> None:
        row = self._connection.execute(_ESTIMATE, {"table": self._change.table.quoted}).fetchone()
        extra = {
            "event": event,
            "table": str(self._change.table),
            "changed_rows": self._changed_rows,
            "seen_rows": self._seen_rows,
            "estimated_rows": None if row is None else row[0],
        }
        logger.info(message, extra=extra)
