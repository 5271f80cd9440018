"""The steps that prepare a table in use for becoming a partition; none holds up its clients for long."""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from migrator.ops.conversion_state import BOUND_LEAD
from migrator.ops.session import exclusively
from migrator.partitioning import first_midnight_after, midnight_literal

if TYPE_CHECKING:
    from datetime import datetime

    from migrator.ops.partition_plan import PartitionPlan

logger = logging.getLogger(__name__)

BATCH_ROWS = 1000

ASIDE_COMMENT: LiteralString = "Rows dated at or beyond the bound of the legacy partition when it was made"


def add_bound(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """
    Keep rows at or beyond a UTC midnight, at least two days ahead, out of the table from now on.

    The CHECK is NOT VALID, so it takes an instant whatever the table's size.
    """
    with exclusively(connection, plan.table):
        bound = first_midnight_after(server_time(connection), BOUND_LEAD)
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} < {}::timestamptz) NOT VALID").format(
                plan.table.identifier,
                sql.Identifier(plan.bound_check),
                sql.Identifier(plan.key),
                midnight_literal(bound),
            )
        )


def drop_bound(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """Let the table take every time again: the bound that was chosen has come too near."""
    with exclusively(connection, plan.table):
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(plan.table.identifier, sql.Identifier(plan.bound_check))
        )


def move_misdated(connection: psycopg.Connection[Any], plan: PartitionPlan, bound: datetime) -> int:
    """
    Move the rows at or beyond *bound* to the side table, and return how many they were.

    The CHECK is there already, so no further ones can come.  Each batch is one transaction: a row is always in one
    of the two tables.
    """
    moved_rows = 0
    while batch_rows := _move_batch(connection, plan, bound):
        moved_rows += batch_rows
    if moved_rows:
        logger.warning(
            "rows dated beyond the new partitions were moved aside",
            extra={
                "event": "rows_moved_aside",
                "table": str(plan.table),
                "rows": moved_rows,
                "kept_in": str(plan.aside),
            },
        )
    return moved_rows


def validate_bound(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """Have PostgreSQL prove that no row is beyond the bound; it reads the table, and stops nobody."""
    connection.execute(
        sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(plan.table.identifier, sql.Identifier(plan.bound_check))
    )


def server_time(connection: psycopg.Connection[Any]) -> datetime:
    """Return the time by the server's clock, which also dates the rows of clients that give none."""
    row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    if row is None:
        raise psycopg.InternalError("The server did not tell the time.")
    time: datetime = row[0]
    return time.astimezone(UTC)


def _move_batch(connection: psycopg.Connection[Any], plan: PartitionPlan, bound: datetime) -> int:
    beyond = sql.SQL("SELECT ctid FROM ONLY {} WHERE {} >= {}::timestamptz ORDER BY {} LIMIT {}").format(
        plan.table.identifier,
        sql.Identifier(plan.key),
        midnight_literal(bound),
        sql.Identifier(plan.key),
        sql.Literal(BATCH_ROWS),
    )
    with connection.transaction():
        row = connection.execute(sql.SQL("SELECT EXISTS ({})").format(beyond)).fetchone()
        if row is None or not row[0]:
            return 0
        _ensure_aside(connection, plan)
        # FOR UPDATE: where a client is just correcting a row, what it makes of it is looked at, and the next one taken.
        # Without, the DELETE would find the row gone and move nothing, which looks like the end.
        cursor = connection.execute(
            sql.SQL(
                "WITH moved AS (DELETE FROM ONLY {} WHERE ctid = ANY (ARRAY({} FOR UPDATE)) RETURNING *) "
                "INSERT INTO {} SELECT * FROM moved"
            ).format(plan.table.identifier, beyond, plan.aside.identifier)
        )
        return cursor.rowcount


def _ensure_aside(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    row = connection.execute("SELECT pg_catalog.to_regclass(%s) IS NULL", (plan.aside.quoted,)).fetchone()
    if row is not None and row[0]:
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {}, CONSTRAINT {} PRIMARY KEY ({}))").format(
                plan.aside.identifier,
                plan.table.identifier,
                sql.Identifier(f"pk_{plan.aside.name}"),
                sql.SQL(", ").join(map(sql.Identifier, plan.primary_key)),
            )
        )
        connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS {}").format(plan.aside.identifier, sql.Literal(ASIDE_COMMENT))
        )
