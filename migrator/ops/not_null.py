"""
`op.add_not_null`: a column that may be null no more, on a table in use.

SET NOT NULL reads the whole table under an exclusive lock, unless a valid CHECK says the same: so that comes first,
and goes again.  PostgreSQL 18 could add the constraint NOT VALID itself; this way leaves one catalog on every version.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, LiteralString

from alembic.operations import MigrateOperation, Operations
from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.checks import CheckSpec, ensure_check, read_check
from migrator.ops.session import await_others, exclusively, online_session
from migrator.ops.sql_script import write_statement, write_transaction
from migrator.ops.tables import require_table
from migrator.partitioning import Relation

if TYPE_CHECKING:
    import psycopg

_MAX_NAME_BYTES = 63

# From 18 on NOT NULL is a constraint that may be NOT VALID, and is not what was wanted as long as it is.
_STATE: LiteralString = """
SELECT a.attnotnull, (
    SELECT k.conname::text FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND a.attnum = ANY (k.conkey) AND NOT k.convalidated)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
"""


@Operations.register_operation("add_not_null")
class AddNotNullOp(MigrateOperation):
    """The operation as Alembic passes it on: which column of which table."""

    def __init__(self, table: Relation, column: str) -> None:
        self.table = table
        self.column = column

    @classmethod
    def add_not_null(cls, operations: Operations, table: str, column: str, *, schema: str = "public") -> None:
        """
        Make a column NOT NULL without stopping the table's clients; all that its revision may do.

        Exclusive locks are held for some ms, twice; between them the rows are read through while everybody goes on.
        Run again after an interruption it goes on where it was.  The way back is
        `op.alter_column(..., nullable=True)`.

        Args:
            operations: Given by Alembic.
            table: The table, plain or partitioned, without the schema.
            column: The column.
            schema: The table's schema.

        Raises:
            PermanentError: No such table or column, or rows that have nothing in it: the message tells how many.
            TemporaryError: Others were in the way for too long; run it again.
        """
        operations.invoke(cls(Relation(schema, table), column))

    @property
    def check(self) -> CheckSpec:
        """The CHECK that says the same meanwhile."""
        name = f"{self.table.name}_{self.column}_is_given"
        if len(name.encode()) > _MAX_NAME_BYTES:
            name = f"column_is_given_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        condition = sql.SQL("{} IS NOT NULL").format(sql.Identifier(self.column))
        return CheckSpec(name, condition, fault=f"have nothing in {self.column}")

    @property
    def statement(self) -> sql.Composed:
        """What it comes to."""
        return sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(
            self.table.identifier, sql.Identifier(self.column)
        )


@Operations.implementation_for(AddNotNullOp)
def _add_not_null(operations: Operations, operation: AddNotNullOp) -> None:
    table, check = operation.table, operation.check
    context = operations.get_context()
    if context.as_sql:
        with context.autocommit_block():
            write_transaction(operations, check.addition(table))
            write_statement(operations, check.validation(table))
            write_transaction(operations, operation.statement, check.removal(table))
        return
    with online_session(operations) as connection:
        require_table(connection, table)
        await_others(connection, table)
        is_not_null, unproven = _read_state(connection, operation)
        if unproven or not is_not_null:
            ensure_check(connection, table, check)
            if unproven:
                # SET NOT NULL would do it under its exclusive lock, and not by the CHECK but by reading the table.
                connection.execute(replace(check, name=unproven).validation(table))
        elif read_check(connection, table, check.name) is None:
            return
        with exclusively(connection, table):
            connection.execute(operation.statement)
            connection.execute(check.removal(table))


def _read_state(connection: psycopg.Connection[Any], operation: AddNotNullOp) -> tuple[bool, str | None]:
    """Return whether the column is NOT NULL, and the name of the constraint that says so without proof."""
    row = connection.execute(_STATE, (operation.table.quoted, operation.column)).fetchone()
    if row is None:
        raise PermanentError(
            f"{operation.table} has no column {operation.column}. Nothing was changed. Correct the revision."
        )
    return bool(row[0]), row[1]
