"""`op.drop_index_concurrently`: an index goes, and nobody waits for it longer than must be."""

from __future__ import annotations

import logging
from typing import Any, LiteralString

import psycopg
from alembic.operations import MigrateOperation, Operations
from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.index_tree import child_name, read_tree
from migrator.ops.indexes import concurrently, read_index
from migrator.ops.session import await_others, locked, online_session
from migrator.ops.tables import require_table
from migrator.partitioning import Relation

logger = logging.getLogger(__name__)

# The block does nothing for a plain table's index, and what follows it nothing where the block did something.
_IF_PARTITIONED: LiteralString = """
-- PostgreSQL drops the index of a partitioned table only under an exclusive lock on it and all its partitions: for
-- some ms, waited for one second at most.  If it was not to be had, run this again.
DO $drop$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class c
               WHERE c.oid = pg_catalog.to_regclass({index_text}) AND c.relkind = 'I') THEN
        PERFORM pg_catalog.set_config('lock_timeout', '1s', true);
        DROP INDEX {index};
    END IF;
END
$drop$;
"""
_CONCURRENTLY: LiteralString = "DROP INDEX CONCURRENTLY IF EXISTS {index};\n"


@Operations.register_operation("drop_index_concurrently")
class DropIndexConcurrentlyOp(MigrateOperation):
    """The operation as Alembic passes it on: which index, of which table."""

    def __init__(self, table: Relation, name: str) -> None:
        self.table = table
        self.name = name

    @classmethod
    def drop_index_concurrently(cls, operations: Operations, name: str, table: str, *, schema: str = "public") -> None:
        """
        Drop an index, if it is there, without stopping writers; the only thing that its revision may do.

        INVALID or half dropped by an interrupted run, it is dropped too.  It waits for every transaction that uses the
        table.

        PostgreSQL drops the index of a partitioned table under AccessExclusive on the table and all its partitions
        only.  That lock is taken in one try after another that each wait `EXCLUSIVE_WAIT_MS` at most, and held for the
        change of the catalog alone: about 25 ms for 50 partitions on PostgreSQL 18.  What an interrupted build left on
        partitions, unattached, is dropped concurrently before.

        Raises:
            PermanentError: No such table, another table's index, or one that a constraint or a partitioned table's
                index needs.
            TemporaryError: Others were in the way for too long; run it again.
        """
        operations.invoke(cls(Relation(schema, table), name))


@Operations.implementation_for(DropIndexConcurrentlyOp)
def _drop_index_concurrently(operations: Operations, operation: DropIndexConcurrentlyOp) -> None:
    context, table, index = operations.get_context(), operation.table, operation.table.named(operation.name)
    if context.as_sql:
        with context.autocommit_block():
            for script in (_IF_PARTITIONED, _CONCURRENTLY):
                statement = sql.SQL(script).format(index_text=sql.Literal(index.quoted), index=index.identifier)
                context.impl.static_output(statement.as_string())
        return
    with online_session(operations) as connection:
        try:
            if require_table(connection, table):
                _drop_everywhere(connection, table, index)
            else:
                _drop(connection, table, index)
        except psycopg.errors.DependentObjectsStillExist as error:
            raise PermanentError(
                f"The index {index} cannot be dropped: {error.diag.message_primary}. Nothing was changed. "
                f"Drop what needs it instead. {error.diag.message_hint or ''}".rstrip()
            ) from error


def _drop(connection: psycopg.Connection[Any], table: Relation, index: Relation) -> None:
    """Drop *index* of *table* concurrently, if it is there."""
    # What a killed run's server process is still at ends first.
    await_others(connection, table)
    if read_index(connection, table, index.name) is None:
        return
    with concurrently(table, index):
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(index.identifier))
    _log(table, index)


def _drop_everywhere(connection: psycopg.Connection[Any], table: Relation, index: Relation) -> None:
    """Drop *index* of the partitioned *table* with what belongs to it at the partitions."""
    found = read_index(connection, table, index.name)
    for branch in read_tree(connection, table, index.name):
        if branch.kind == "r" and branch.index is None:
            _drop(connection, branch.table, branch.table.named(child_name(branch.table.name, index.name)))
    if found is None:
        return
    # Once the parent is locked nobody comes to a partition through it, and nobody else is waited for.
    parent = sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(table.identifier)
    partitions = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(table.identifier)
    with locked(connection, table, parent, partitions):
        connection.execute(sql.SQL("DROP INDEX {}").format(index.identifier))
    _log(table, index)


def _log(table: Relation, index: Relation) -> None:
    logger.info("index dropped", extra={"event": "index_dropped", "table": str(table), "index": index.name})
