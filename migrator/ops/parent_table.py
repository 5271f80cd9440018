"""The partitioned table that takes over a plain one's name: made complete beside it, before anybody is locked out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from migrator.ops.privileges import copy_privileges
from migrator.partitioning import add_day, apply_storage, read_storage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import psycopg

    from migrator.ops.partition_plan import PartitionPlan
    from migrator.partitioning import Relation

# All that LIKE can take over but indexes, which get names of their own, and identity, which partitions cannot have.
LIKE_OPTIONS: LiteralString = (
    "INCLUDING COMMENTS INCLUDING COMPRESSION INCLUDING CONSTRAINTS INCLUDING DEFAULTS "
    "INCLUDING GENERATED INCLUDING STATISTICS INCLUDING STORAGE"
)
_COMMENT: LiteralString = "SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%s), 'pg_class')"


def create_parent(connection: psycopg.Connection[Any], plan: PartitionPlan, days: Iterable[date]) -> None:
    """
    Make the partitioned table under its interim name, complete, with an empty partition for each of *days*.

    It takes nothing on the plain table that readers or writers would notice.
    """
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} {}) PARTITION BY RANGE ({})").format(
            plan.interim.identifier, plan.table.identifier, sql.SQL(LIKE_OPTIONS), sql.Identifier(plan.key)
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
            plan.interim.identifier, sql.Identifier(plan.bound_check)
        )
    )
    _add_indexes(connection, plan)
    copy_comment(connection, "TABLE", plan.table, plan.interim)
    storage = read_storage(connection, plan.table)
    apply_storage(connection, plan.interim, storage, is_partitioned=True)
    copy_privileges(connection, plan.table, plan.interim)
    for day in days:
        add_day(connection, plan.interim, plan.partition(day), day, storage)


def copy_comment(connection: psycopg.Connection[Any], kind: LiteralString, source: Relation, target: Relation) -> None:
    """Give the *target*, a TABLE or an INDEX, the comment of *source*."""
    row = connection.execute(_COMMENT, (source.quoted,)).fetchone()
    if row is not None and row[0] is not None:
        connection.execute(
            sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), target.identifier, sql.Literal(row[0]))
        )


def _add_indexes(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    connection.execute(
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
            plan.interim.identifier,
            sql.Identifier(plan.interim_key_name),
            sql.SQL(", ").join(map(sql.Identifier, plan.primary_key)),
        )
    )
    for index, _ in plan.indexes:
        interim = plan.interim_index(index)
        connection.execute(interim.statement(plan.interim))
        copy_comment(connection, "INDEX", plan.table.named(index.name), plan.table.named(interim.name))
