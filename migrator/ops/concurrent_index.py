"""`op.create_index_concurrently`: an index on a table in use, finished by whoever comes after an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from alembic.operations import MigrateOperation, Operations
from psycopg import sql

from migrator.ops.indexes import IndexSpec, ensure_index
from migrator.ops.partitioned_index import ensure_partitioned_index
from migrator.ops.session import await_others, online_session
from migrator.ops.tables import require_table
from migrator.partitioning import Relation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import TextClause

_PARTITION_BY_PARTITION: LiteralString = """
-- create_index_concurrently on a partitioned table.  Run online, no writer waits for it, and it may be killed at any
-- point and run again.  The SQL below stops the writers of one partition at a time while that one's index is built.
-- It is to be run outside a transaction; after a failure drop the indexes that it left on the partitions.
DO $build$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = {table_text}::regclass ORDER BY 1
    LOOP
        EXECUTE pg_catalog.format({statement_text}, partition);
        COMMIT;
    END LOOP;
    {statement};
END
$build$;
"""


@Operations.register_operation("create_index_concurrently")
class CreateIndexConcurrentlyOp(MigrateOperation):
    """The operation as Alembic passes it on: which index, on which table."""

    def __init__(self, table: Relation, index: IndexSpec, *, partitioned: bool = False) -> None:
        self.table = table
        self.index = index
        self.partitioned = partitioned

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
        partitioned: bool = False,
    ) -> None:
        """
        Build an index without stopping writers; the only thing that its revision may do.

        On a partitioned table it is declared on the parent, built concurrently on each partition, however deep, and
        attached; partitions that come meanwhile get it by themselves, equal indexes that partitions have are taken.

        Run again after an interruption it keeps what is valid, drops what is INVALID and builds it anew.  It waits
        for every older transaction in the database.

        Args:
            operations: Given by Alembic.
            name: Of the index; a partition's is called `<partition>_<name>_<hash>`.
            table: A plain or a partitioned table.
            columns: Names, which are quoted, or `text()`, which stands in the statement as it is.
            unique: Refuse rows with the same key; on a partitioned table the key must hold the partition key.
            where: Predicate of a partial index.
            schema: Where the table is.
            partitioned: For `--sql` only, which cannot ask whether the table is partitioned: render a block that
                builds partition by partition, stopping the writers of one at a time, instead of a statement that
                PostgreSQL refuses for such a table.  Online the catalog tells.

        Raises:
            PermanentError: No such table, another index of that name, a foreign table among the partitions, a unique
                index without the partition key, or duplicates under a unique index.
            TemporaryError: Others were in the way for too long; run it again.
        """
        index = IndexSpec(name, tuple(columns), unique, where)
        operations.invoke(cls(Relation(schema, table), index, partitioned=partitioned))


@Operations.implementation_for(CreateIndexConcurrentlyOp)
def _create_index_concurrently(operations: Operations, operation: CreateIndexConcurrentlyOp) -> None:
    context = operations.get_context()
    if context.as_sql:
        with context.autocommit_block():
            context.impl.static_output(_script(operation))
        return
    with online_session(operations) as connection:
        if require_table(connection, operation.table):
            ensure_partitioned_index(connection, operation.table, operation.index)
        else:
            await_others(connection, operation.table)
            ensure_index(connection, operation.table, operation.index)


def _script(operation: CreateIndexConcurrentlyOp) -> str:
    table, index = operation.table, operation.index
    if not operation.partitioned:
        return f"{index.statement(table, concurrently=True).as_string()};\n"
    definition = index.definition().as_string().replace("%", "%%")
    body = sql.SQL(_PARTITION_BY_PARTITION).format(
        table_text=sql.Literal(table.quoted),
        statement_text=sql.Literal(f"CREATE {'UNIQUE ' if index.unique else ''}INDEX ON %s {definition}"),
        statement=index.statement(table),
    )
    return body.as_string()
