"""
The moment in which a plain table becomes a partition: one transaction, in which clients are locked out for some ms.

Everything that can be made beside the table is made before its lock is asked for, and everything that was found out
before is looked at again once it is held.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.conversion_state import Step, is_empty, read_state
from migrator.ops.conversion_steps import server_time
from migrator.ops.obstacles import read_obstacles
from migrator.ops.parent_table import create_parent
from migrator.ops.session import exclusively
from migrator.partitioning import days_between, midnight_literal

if TYPE_CHECKING:
    from datetime import datetime

    from migrator.ops.partition_plan import PartitionPlan
    from migrator.partitioning import Relation

_PRIMARY_KEY: LiteralString = """
SELECT k.conname::text FROM pg_catalog.pg_constraint k
WHERE k.conrelid = pg_catalog.to_regclass(%s) AND k.contype = 'p'
"""
_ADOPTED: LiteralString = """
SELECT pg_catalog.array_agg(c.relname::text ORDER BY c.relname)
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_inherits i ON i.inhrelid = x.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
WHERE x.indrelid = pg_catalog.to_regclass(%s)
"""


def replace_empty(connection: psycopg.Connection[Any], plan: PartitionPlan) -> bool:
    """
    Put a partitioned table in the place of an empty plain one; false if it is not empty any more.

    The first partition is yesterday's: a transaction that was begun before midnight dates its rows by its beginning.
    """
    today = server_time(connection).date()
    days = days_between(today - timedelta(days=1), today + timedelta(days=plan.days_ahead))
    with exclusively(connection, plan.table, prepare=partial(create_parent, connection, plan, days)):
        if not is_empty(connection, plan):
            raise psycopg.Rollback
        refuse_obstacles(connection, plan)
        connection.execute(sql.SQL("DROP TABLE {}").format(plan.table.identifier))
        _take_over_names(connection, plan)
        return True
    return False


def swap(connection: psycopg.Connection[Any], plan: PartitionPlan, bound: datetime) -> bool:
    """
    Make the table a partition up to *bound* of a new one that takes its name; false if its state is another by now.

    Raises:
        TemporaryError: The lock was not to be had; nothing of the swap was kept.
        PermanentError: Something new depends on the table; nothing of the swap was kept.
    """
    today = server_time(connection).date()
    days = days_between(bound.date(), today + timedelta(days=plan.days_ahead))
    with exclusively(connection, plan.table, prepare=partial(create_parent, connection, plan, days)):
        state = read_state(connection, plan, takes_rows_for_granted=True)
        if state.next_step is not Step.SWAP or state.bound != bound:
            raise psycopg.Rollback
        refuse_obstacles(connection, plan)
        _give_up_names(connection, plan)
        _take_over_names(connection, plan)
        _attach(connection, plan, bound)
        return True
    return False


def refuse_obstacles(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """
    Return if nothing depends on the table that could not follow its name.

    Raises:
        PermanentError: Something does; each is named.
    """
    key_index = plan.table.named(plan.legacy_key.name)
    if obstacles := read_obstacles(connection, plan.table, own_index=key_index):
        raise PermanentError(
            f"{plan.table} cannot be made a partition while there is: {', '.join(obstacles)}. "
            "It is as it was, and in use. Drop these or move them elsewhere, then start again."
        )


def _give_up_names(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """Rename the plain table and its indexes, and change its primary key to the one that a partition must have."""
    row = connection.execute(_PRIMARY_KEY, (plan.table.quoted,)).fetchone()
    _rename(connection, "TABLE", plan.table, plan.legacy)
    for index, legacy_name in plan.indexes:
        _rename(connection, "INDEX", plan.table.named(index.name), plan.table.named(legacy_name))
    key = sql.Identifier(plan.legacy_key.name)
    actions = [sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(key, key)]
    if row is not None:
        actions.insert(0, sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(row[0])))
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(plan.legacy.identifier, sql.SQL(", ").join(actions)))


def _take_over_names(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """Rename the partitioned table, its key and its indexes from their interim names."""
    _rename(connection, "TABLE", plan.interim, plan.table)
    connection.execute(
        sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(
            plan.table.identifier, sql.Identifier(plan.interim_key_name), sql.Identifier(plan.primary_key_name)
        )
    )
    for index, _ in plan.indexes:
        interim = plan.table.named(plan.interim_index(index).name)
        _rename(connection, "INDEX", interim, plan.table.named(index.name))


def _attach(connection: psycopg.Connection[Any], plan: PartitionPlan, bound: datetime) -> None:
    """Make the legacy table a partition; its CHECK proves the bound and its indexes join those of the new table."""
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM (MINVALUE) TO ({})").format(
            plan.table.identifier, plan.legacy.identifier, midnight_literal(bound)
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(plan.legacy.identifier, sql.Identifier(plan.bound_check))
    )
    row = connection.execute(_ADOPTED, (plan.legacy.quoted,)).fetchone()
    wanted = sorted([plan.legacy_key.name, *(legacy_name for _, legacy_name in plan.indexes)])
    if row is None or row[0] != wanted:
        raise PermanentError(
            f"{plan.table} would have indexes of its own instead of those of {plan.legacy} ({', '.join(wanted)}); "
            "they are not alike. The swap was undone, the table is as it was, and in use."
        )


def _rename(connection: psycopg.Connection[Any], kind: LiteralString, old: Relation, new: Relation) -> None:
    connection.execute(
        sql.SQL("ALTER {} {} RENAME TO {}").format(sql.SQL(kind), old.identifier, sql.Identifier(new.name))
    )
