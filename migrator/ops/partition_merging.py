"""`op.merge_partitions`: the way back from `op.attach_as_partition`, without losing a row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from alembic.operations import MigrateOperation, Operations
from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.indexes import IndexSpec
from migrator.ops.obstacles import read_obstacles
from migrator.ops.parent_table import LIKE_OPTIONS, copy_comment
from migrator.ops.privileges import copy_privileges
from migrator.ops.session import raw_connection
from migrator.partitioning import Relation, apply_storage, read_partitions, read_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import TextClause

_COPY_ROWS: LiteralString = """DO $merge$
DECLARE
    columns text := (
        SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = {table_text}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
    source text;
BEGIN
    FOREACH source IN ARRAY ARRAY[{partitioned_text}, {aside_text}] LOOP
        IF pg_catalog.to_regclass(source) IS NOT NULL THEN
            EXECUTE pg_catalog.format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %3$s', {table_text}, columns, source);
        END IF;
    END LOOP;
    DROP TABLE IF EXISTS {aside};
END
$merge$"""


@dataclass(frozen=True)
class MergePlan:
    """What the plain table is to look like."""

    table: Relation
    primary_key: tuple[str, ...]
    primary_key_name: str
    indexes: tuple[IndexSpec, ...]

    @property
    def partitioned(self) -> Relation:
        """What the partitioned table is called until its rows are copied."""
        return self.table.named(f"{self.table.name}_partitioned")

    @property
    def aside(self) -> Relation:
        """Where the conversion put rows that fitted into no partition."""
        return self.table.named(f"{self.table.name}_misdated")


@Operations.register_operation("merge_partitions")
class MergePartitionsOp(MigrateOperation):
    """The operation as Alembic passes it on."""

    def __init__(self, plan: MergePlan) -> None:
        self.plan = plan

    @classmethod
    def merge_partitions(
        cls,
        operations: Operations,
        table: str,
        *,
        primary_key: Sequence[str],
        primary_key_name: str,
        indexes: Sequence[tuple[str, Sequence[str | TextClause], str | None]] = (),
        schema: str = "public",
    ) -> None:
        """
        Copy all rows of a partitioned table, and those moved aside from it, into a plain one that takes its name.

        One transaction, with the table locked throughout: minutes for millions of rows.  Owner, grants, comments,
        defaults, and the storage parameters of the oldest partition are kept.

        Args:
            operations: Given by Alembic.
            table: A partitioned table.
            primary_key: Columns of the plain table's primary key.
            primary_key_name: Its name.
            indexes: Name, columns and predicate of each further index.
            schema: Where it is.

        Raises:
            PermanentError: Something depends on the table, or rows of different times have the same key.
        """
        specs = tuple(IndexSpec(name, tuple(columns), where=where) for name, columns, where in indexes)
        operations.invoke(cls(MergePlan(Relation(schema, table), tuple(primary_key), primary_key_name, specs)))


@Operations.implementation_for(MergePartitionsOp)
def _merge_partitions(operations: Operations, operation: MergePartitionsOp) -> None:
    plan, context = operation.plan, operations.get_context()
    if context.as_sql:
        for statement in (*_copying(plan), *_finishing(plan)):
            context.impl.static_output(f"{statement.as_string()};\n")
        return
    connection = raw_connection(operations)
    _refuse_obstacles(connection, plan)
    _execute(connection, _copying(plan))
    _copy_looks(connection, plan)
    try:
        _execute(connection, _finishing(plan))
    except psycopg.errors.UniqueViolation as error:
        raise PermanentError(
            f"The rows of {plan.table} cannot be put into one table with the key ({', '.join(plan.primary_key)}): rows "
            "of different times have the same. Nothing was changed."
        ) from error


def _copying(plan: MergePlan) -> list[sql.Composed]:
    table, partitioned = plan.table.identifier, plan.partitioned.identifier
    return [
        sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table),
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, sql.Identifier(plan.partitioned.name)),
        sql.SQL("CREATE TABLE {} (LIKE {} {})").format(table, partitioned, sql.SQL(LIKE_OPTIONS)),
        sql.SQL(_COPY_ROWS).format(
            table_text=sql.Literal(plan.table.quoted),
            partitioned_text=sql.Literal(plan.partitioned.quoted),
            aside_text=sql.Literal(plan.aside.quoted),
            aside=plan.aside.identifier,
        ),
    ]


def _finishing(plan: MergePlan) -> list[sql.Composed]:
    key = sql.SQL(", ").join(map(sql.Identifier, plan.primary_key))
    return [
        sql.SQL("DROP TABLE {}").format(plan.partitioned.identifier),
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
            plan.table.identifier, sql.Identifier(plan.primary_key_name), key
        ),
        *(index.statement(plan.table) for index in plan.indexes),
    ]


def _copy_looks(connection: psycopg.Connection[Any], plan: MergePlan) -> None:
    storage = read_storage(connection, plan.partitioned)
    for oldest in read_partitions(connection, plan.partitioned)[:1]:
        parameters = read_storage(connection, plan.table.named(oldest.name)).parameters
        storage = replace(storage, parameters=parameters)
    apply_storage(connection, plan.table, storage)
    copy_comment(connection, "TABLE", plan.partitioned, plan.table)
    copy_privileges(connection, plan.partitioned, plan.table)


def _refuse_obstacles(connection: psycopg.Connection[Any], plan: MergePlan) -> None:
    if obstacles := read_obstacles(connection, plan.table):
        raise PermanentError(
            f"{plan.table} cannot be put back into one table while there is: {', '.join(obstacles)}. "
            "Nothing was changed. Drop these or move them elsewhere, then start again."
        )


def _execute(connection: psycopg.Connection[Any], statements: Sequence[sql.Composed]) -> None:
    for statement in statements:
        connection.execute(statement)
