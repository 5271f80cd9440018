"""What an online operation writes instead with `--sql`: statements that anybody can read, and run without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from migrator.budgets import Budgets

if TYPE_CHECKING:
    from alembic.operations import Operations


def write_note(operations: Operations, note: str) -> None:
    """Write a comment of some lines."""
    for line in note.splitlines():
        operations.get_context().impl.static_output(f"-- {line}")


def write_statement(operations: Operations, statement: sql.Composed) -> None:
    """Write one statement."""
    operations.get_context().impl.static_output(f"{statement.as_string()};\n")


def write_transaction(operations: Operations, *statements: sql.Composed) -> None:
    """
    Write *statements* as a transaction of their own that gives up instead of making everybody wait behind it.

    What is written so far has to be committed, as it is within an `autocommit_block`.
    """
    impl = operations.get_context().impl
    impl.emit_begin()
    limit = f"{int(Budgets().lock_timeout_seconds * 1000)}ms"
    write_statement(operations, sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(limit)))
    for statement in statements:
        write_statement(operations, statement)
    impl.emit_commit()
