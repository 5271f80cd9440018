"""`op.create_index_concurrently`: an index on a table in use, finished by whoever comes after an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import MigrateOperation, Operations

from migrator.errors import PermanentError
from migrator.ops.indexes import IndexSpec, ensure_index
from migrator.ops.session import await_others, online_session
from migrator.partitioning import Relation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import TextClause


@Operations.register_operation("create_index_concurrently")
class CreateIndexConcurrentlyOp(MigrateOperation):
    """The operation as Alembic passes it on: which index, on which table."""

    def __init__(self, table: Relation, index: IndexSpec) -> None:
        self.table = table
        self.index = index

    @classmethod
    def create_index_concurrently(
        cls,
        operations: Operations,
        name: str,
        table: str,
        columns: Sequence[str | TextClause],
        *,
        unique: bool = False,
        where: str | None = None,
        schema: str = "public",
    ) -> None:
        """
        Build an index without stopping writers; the only thing that its revision may do.

        Run again after an interruption it keeps what is valid, drops what is INVALID and builds it anew.  It waits
        for every older transaction in the database.

        Raises:
            PermanentError: No such plain table, another index of that name, or duplicates under a unique index.
            TemporaryError: Others were in the way for too long; run it again.
        """
        operations.invoke(cls(Relation(schema, table), IndexSpec(name, tuple(columns), unique, where)))


@Operations.implementation_for(CreateIndexConcurrentlyOp)
def _create_index_concurrently(operations: Operations, operation: CreateIndexConcurrentlyOp) -> None:
    context = operations.get_context()
    if context.as_sql:
        with context.autocommit_block():
            statement = operation.index.statement(operation.table, concurrently=True)
            context.impl.static_output(f"{statement.as_string()};\n")
        return
    with online_session(operations) as connection:
        row = connection.execute(
            "SELECT c.relkind::text FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)",
            (operation.table.quoted,),
        ).fetchone()
        if row is None or row[0] != "r":
            raise PermanentError(
                f"{operation.table} is {'not there' if row is None else 'no plain table'}, so the index "
                f"{operation.index.name} cannot be built on it concurrently. Nothing was changed. "
                "A partitioned table gets its indexes partition by partition."
            )
        await_others(connection, operation.table)
        ensure_index(connection, operation.table, operation.index)
