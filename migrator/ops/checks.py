"""CHECK constraints as revisions describe them, as the catalog shows them, and how the one becomes the other online."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from migrator.classifier import sentence
from migrator.errors import PermanentError, TemporaryError
from migrator.ops.session import exclusively
from migrator.partitioning import Relation

logger = logging.getLogger(__name__)

# Tells a constraint that a run of ours added and did not prove yet from one that somebody else left NOT VALID.
UNPROVEN_COMMENT: LiteralString = "Added by a revision that has yet to prove it for the rows that were there before"

_FOUND: LiteralString = """
SELECT pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', ''), k.convalidated,
       coalesce(pg_catalog.obj_description(k.oid, 'pg_constraint') = %s, false)
FROM pg_catalog.pg_constraint k WHERE k.conrelid = pg_catalog.to_regclass(%s) AND k.conname = %s
"""
_UNPROVEN_PARTITIONS: LiteralString = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%s)) p
JOIN pg_catalog.pg_class c ON c.oid = p.relid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = %s AND NOT k.convalidated
WHERE p.level > 0
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class CheckSpec:
    """
    A CHECK as a revision wants it.

    Args:
        name: Its name.
        condition: What must not be false; it stands in the statement as it is.
        fault: What rows do that it is false for, as the end of a sentence: `violate ck_orders_amount`.
    """

    name: str
    condition: sql.Composable
    fault: str

    def addition(self, table: Relation) -> sql.Composed:
        """Return the statement that adds it without looking at the rows that are there."""
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({}) NOT VALID").format(
            table.identifier, sql.Identifier(self.name), self.condition
        )

    def validation(self, table: Relation) -> sql.Composed:
        """Return the statement that proves it for the rows that are there."""
        return sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table.identifier, sql.Identifier(self.name))

    def removal(self, table: Relation) -> sql.Composed:
        """Return the statement that drops it."""
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table.identifier, sql.Identifier(self.name))

    def comment(self, table: Relation, text: str | None) -> sql.Composed:
        """Return the statement that gives it *text* as its comment."""
        return sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(
            sql.Identifier(self.name), table.identifier, sql.Literal(text)
        )


@dataclass(frozen=True)
class FoundCheck:
    """A constraint as the catalog shows it; *is_unproven_ours*: a run of ours added it and was interrupted."""

    definition: str
    is_valid: bool
    is_unproven_ours: bool


def read_check(connection: psycopg.Connection[Any], table: Relation, name: str) -> FoundCheck | None:
    """Return the constraint called *name* on *table*, of whatever kind it is, or None."""
    row = connection.execute(_FOUND, (UNPROVEN_COMMENT, table.quoted, name)).fetchone()
    return None if row is None else FoundCheck(*row)


def ensure_check(connection: psycopg.Connection[Any], table: Relation, check: CheckSpec) -> None:
    """
    Make sure that *table* has the constraint, proven for every row, without stopping writers for long.

    Judges by the catalog: what an interrupted run left NOT VALID is proven, partition by partition, where it stopped.
    The connection is outside a transaction, in UTC and patient with locks (see `online_session`).

    Raises:
        PermanentError: Another constraint has that name, or rows break this one. A constraint that is not proven is
            taken away again, because it would go on refusing every update of such a row although nobody may come back
            soon; one that was NOT VALID before the revision stays.
        TemporaryError: Others were in the way for too long; what was done so far is kept.
    """
    found = _refuse_other_definition(connection, table, check)
    if found is None:
        _add(connection, table, check)
    if found is None or not found.is_valid:
        _prove(connection, table, check)
        extra = {"event": "check_validated", "table": str(table), "constraint": check.name}
        logger.info("a constraint was validated", extra=extra)


def _refuse_other_definition(
    connection: psycopg.Connection[Any], table: Relation, check: CheckSpec
) -> FoundCheck | None:
    found = read_check(connection, table, check.name)
    if found is not None and found.definition != (wanted := _expected_definition(connection, table, check)):
        raise PermanentError(
            f"The constraint {check.name} of {table} is {found.definition!r}, but {wanted!r} is wanted. Nothing was "
            "changed. Rename or drop it."
        )
    return found


def _expected_definition(connection: psycopg.Connection[Any], table: Relation, check: CheckSpec) -> str:
    """Return how PostgreSQL shows the constraint: asked of an empty table of the same name, rolled back at once."""
    copy = Relation("pg_temp", table.name)
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(copy.identifier, table.identifier))
        _execute(connection, check.addition(copy), table, check)
        found = read_check(connection, copy, check.name)
    if found is None:
        raise PermanentError(f"PostgreSQL does not show the constraint {check.name} that was just made.")
    return found.definition


def _add(connection: psycopg.Connection[Any], table: Relation, check: CheckSpec) -> None:
    with exclusively(connection, table):
        _execute(connection, check.addition(table), table, check)
        connection.execute(check.comment(table, UNPROVEN_COMMENT))


def _execute(connection: psycopg.Connection[Any], statement: sql.Composed, table: Relation, check: CheckSpec) -> None:
    try:
        connection.execute(statement)
    except psycopg.ProgrammingError as error:
        raise PermanentError(
            f"The constraint {check.name} cannot be added to {table}: {sentence(error)}. Nothing was changed. Correct "
            "the revision, or what is in its way."
        ) from error


def _prove(connection: psycopg.Connection[Any], table: Relation, check: CheckSpec) -> None:
    try:
        for schema, name in connection.execute(_UNPROVEN_PARTITIONS, (table.quoted, check.name)).fetchall():
            # Partitions come and go; what is one in the end is proven with the table itself.
            with suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject):
                connection.execute(check.validation(Relation(schema, name)))
        with connection.transaction():
            connection.execute(check.validation(table))
            found = read_check(connection, table, check.name)
            if found is not None and found.is_unproven_ours:
                connection.execute(check.comment(table, None))
    except psycopg.errors.CheckViolation as error:
        raise PermanentError(_refusal(connection, table, check)) from error
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TemporaryError(
            f"The constraint {check.name} of {table} could not be validated, because others held the table. New rows "
            "are checked by it already, what was done so far is kept. Start again."
        ) from error


def _refusal(connection: psycopg.Connection[Any], table: Relation, check: CheckSpec) -> str:
    wrong = sql.SQL("FROM {} WHERE ({}) IS FALSE").format(table.identifier, check.condition)
    row = connection.execute(sql.SQL("SELECT count(*) {}").format(wrong)).fetchone()
    found = read_check(connection, table, check.name)
    kept = "is still NOT VALID, as it was found"
    if found is not None and found.is_unproven_ours:
        with exclusively(connection, table):
            connection.execute(check.removal(table))
        kept = "was taken away again, so that they can be changed"
    return (
        f"{0 if row is None else row[0]} rows of {table} {check.fault}, so it cannot be validated. The rows are "
        f"untouched, the constraint {kept}. Look at them with `SELECT * {wrong.as_string(connection)}`, correct them, "
        "for example with op.run_in_batches in a revision before this one, then start again."
    )
