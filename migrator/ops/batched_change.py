"""`op.run_in_batches`: rows changed or deleted in a table in use, however many they are."""

from __future__ import annotations

import re

from alembic.operations import MigrateOperation, Operations

from migrator.errors import PermanentError
from migrator.ops.batches import BatchedChange, change_in_batches
from migrator.ops.session import online_session
from migrator.ops.sql_script import write_note, write_statement
from migrator.ops.tables import require_table
from migrator.partitioning import Relation

_CHANGE = re.compile(r"\s*(?:SET\s.+|DELETE\s*)", re.IGNORECASE | re.DOTALL)


@Operations.register_operation("run_in_batches")
class RunInBatchesOp(MigrateOperation):
    """The operation as Alembic passes it on."""

    def __init__(self, change: BatchedChange) -> None:
        self.change = change

    @classmethod
    def run_in_batches(
        cls,
        operations: Operations,
        table: str,
        change: str,
        *,
        where: str,
        batch_rows: int = 5000,
        duty: float = 0.5,
        schema: str = "public",
    ) -> None:
        """
        Change the rows that match, some at a time, without stopping the table's clients; all its revision may do.

        Each batch is a transaction of its own, in the order of the primary key; it takes as many rows as it can do in
        a fifth of a second, gives way to clients that have locked one of them, and is followed by a pause.  How far it
        came is kept in the schema `migrator` with each batch, so a run after an interruption goes on there.  Rows that
        clients add meanwhile and that match are changed too, as long as it does not chase them for ever.  The way back
        is another change in batches, if there is one.

        Args:
            operations: Given by Alembic.
            table: The table, plain or partitioned, without the schema.
            change: SQL: `SET column = expression, ...` or `DELETE`.
            where: SQL: which rows.  A row that was changed must match no longer: that is how it is known to be done.
            batch_rows: How many rows a batch looks at, at most.
            duty: Which share of the time it may work; the rest is pause. 1: no pause.
            schema: The table's schema.

        Raises:
            PermanentError: No such table, no primary key, rows that match still, or a change that the server refuses.
            TemporaryError: A row stayed locked by others; run it again.
        """
        if not _CHANGE.fullmatch(change) or batch_rows < 1 or not 0 < duty <= 1:
            raise PermanentError(
                f"run_in_batches takes `SET ...` or `DELETE`, at least one row a batch and a duty above 0 up to 1, but "
                f"was given {change!r}, {batch_rows} and {duty:g}. Nothing was changed. Correct the revision."
            )
        operations.invoke(cls(BatchedChange(Relation(schema, table), change, where, batch_rows, duty)))


@Operations.implementation_for(RunInBatchesOp)
def _run_in_batches(operations: Operations, operation: RunInBatchesOp) -> None:
    change = operation.change
    if operations.get_context().as_sql:
        write_note(
            operations,
            f"run_in_batches({change.table}).  Run online, this is done in batches, each a transaction of its own,\n"
            "and goes on where it was after an interruption.  The statement below has the same result in one\n"
            "transaction, but keeps every row that it changes locked until it commits.",
        )
        write_statement(operations, change.statement())
        return
    with online_session(operations) as connection:
        require_table(connection, change.table)
        change_in_batches(connection, change)
