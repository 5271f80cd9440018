"""`op.add_check`: a CHECK for a table in use, proven for its rows without stopping anybody."""

from __future__ import annotations

from alembic.operations import MigrateOperation, Operations

from migrator.ops.checks import CheckSpec, ensure_check
from migrator.ops.indexes import as_written
from migrator.ops.session import await_others, online_session
from migrator.ops.sql_script import write_statement, write_transaction
from migrator.ops.tables import require_table
from migrator.partitioning import Relation


@Operations.register_operation("add_check")
class AddCheckOp(MigrateOperation):
    """The operation as Alembic passes it on: which CHECK, on which table."""

    def __init__(self, table: Relation, check: CheckSpec) -> None:
        self.table = table
        self.check = check

    @classmethod
    def add_check(
        cls, operations: Operations, name: str, table: str, condition: str, *, schema: str = "public"
    ) -> None:
        """
        Add a CHECK to a plain or a partitioned table without stopping its clients; all that its revision may do.

        From the first moment, which needs an exclusive lock for some ms, new rows are checked; then those that are
        there are read through while everybody goes on.  Run again after an interruption it goes on where it was; of a
        partitioned table each partition counts.  The way back is `op.drop_constraint`.

        Args:
            operations: Given by Alembic.
            name: The constraint's name.
            table: Its table, without the schema.
            condition: SQL that must not be false for any row; it stands in the statement as it is.
            schema: The table's schema.

        Raises:
            PermanentError: No such table, another constraint of that name, or rows that break it: then it is taken
                away again, so that they can still be updated.
            TemporaryError: Others were in the way for too long; run it again.
        """
        check = CheckSpec(name, as_written(condition), fault=f"violate {name}, CHECK ({condition})")
        operations.invoke(cls(Relation(schema, table), check))


@Operations.implementation_for(AddCheckOp)
def _add_check(operations: Operations, operation: AddCheckOp) -> None:
    table, check = operation.table, operation.check
    context = operations.get_context()
    if context.as_sql:
        with context.autocommit_block():
            write_transaction(operations, check.addition(table))
            write_statement(operations, check.validation(table))
        return
    with online_session(operations) as connection:
        require_table(connection, table)
        await_others(connection, table)
        ensure_check(connection, table, check)
