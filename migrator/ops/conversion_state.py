"""How far a conversion has come, read from the catalog alone: whoever resumes it has nothing else to go by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.indexes import read_index

if TYPE_CHECKING:
    import psycopg

    from migrator.ops.partition_plan import PartitionPlan

BOUND_LEAD = timedelta(days=2)
"""How far ahead the legacy partition's bound is chosen, at least: clients with sane clocks never reach it."""

LEAST_LEFT = timedelta(hours=12)
"""What must be left before the bound for going on with it; otherwise a later one is taken."""

QUICKLY_READ_BYTES = 4 * 1024 * 1024
"""Up to this size a table is looked through for rows; an empty one that is larger is converted like a filled one."""

_STATE: LiteralString = """
SELECT c.relkind::text, pg_catalog.clock_timestamp(),
       (SELECT a.attname::text
        FROM pg_catalog.pg_partitioned_table p
        JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        WHERE p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1),
       k.oid IS NOT NULL, coalesce(k.convalidated, false),
       (pg_catalog.regexp_match(pg_catalog.pg_get_constraintdef(k.oid), $$< '([^']+)'::timestamp$$))[1]::timestamptz
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c' AND k.conname = %s
WHERE c.oid = pg_catalog.to_regclass(%s)
"""
_COLUMNS: LiteralString = """
SELECT a.attname::text, a.attnotnull, a.atttypid = 'timestamptz'::regtype
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""


class Step(Enum):
    """What is to be done next; each is one transaction, one concurrent build or a row of small transactions."""

    REPLACE_EMPTY = "replace_empty"
    BUILD_INDEX = "build_index"
    DROP_BOUND = "drop_bound"
    ADD_BOUND = "add_bound"
    VALIDATE_BOUND = "validate_bound"
    SWAP = "swap"
    NOTHING = "nothing"


@dataclass(frozen=True)
class ConversionState:
    """The catalog's view of a table under conversion; *now* is the server's clock."""

    is_partitioned: bool
    is_empty: bool
    missing_indexes: tuple[str, ...]
    has_check: bool
    bound: datetime | None
    is_validated: bool
    now: datetime

    @property
    def next_step(self) -> Step:
        """The one thing to do in this state."""
        if self.is_partitioned:
            return Step.NOTHING
        if self.is_empty:
            return Step.REPLACE_EMPTY
        # First of all: beyond its bound the table refuses the rows of today.
        if self.has_check and (self.bound is None or self.bound - self.now < LEAST_LEFT):
            return Step.DROP_BOUND
        if self.missing_indexes:
            return Step.BUILD_INDEX
        if not self.has_check:
            return Step.ADD_BOUND
        return Step.SWAP if self.is_validated else Step.VALIDATE_BOUND


def read_state(
    connection: psycopg.Connection[Any], plan: PartitionPlan, *, takes_rows_for_granted: bool = False
) -> ConversionState:
    """
    Return how far the conversion has come; without a look at the rows if *takes_rows_for_granted*.

    Raises:
        PermanentError: The table is not there, or is partitioned in another way.
    """
    row = connection.execute(_STATE, (plan.bound_check, plan.table.quoted)).fetchone()
    if row is None:
        raise PermanentError(f"There is no table {plan.table} to convert. Nothing was changed.")
    kind, now, ranged_by, has_check, is_validated, bound = row
    if kind == "p" and ranged_by != plan.key:
        raise PermanentError(f"{plan.table} is partitioned, but not by ranges of {plan.key}. Nothing was changed.")
    if kind not in ("r", "p"):
        raise PermanentError(f"{plan.table} is no table and cannot be converted. Nothing was changed.")
    is_plain = kind == "r"
    return ConversionState(
        is_partitioned=not is_plain,
        is_empty=is_plain and not takes_rows_for_granted and is_empty(connection, plan),
        missing_indexes=tuple(
            index.name for index in plan.needed_indexes if is_plain and not _is_usable(connection, plan, index.name)
        ),
        has_check=has_check,
        bound=bound,
        is_validated=is_validated,
        now=now,
    )


def is_empty(connection: psycopg.Connection[Any], plan: PartitionPlan) -> bool:
    """
    Return whether the plain table has no row that this transaction can see, which takes an instant to find out.

    One that holds megabytes of dead rows counts as filled: looking through them would take its time, under a lock.
    """
    query = sql.SQL(
        "SELECT CASE WHEN pg_catalog.pg_relation_size({}::regclass) <= {} "
        "THEN NOT EXISTS (SELECT FROM ONLY {}) ELSE false END"
    ).format(sql.Literal(plan.table.quoted), sql.Literal(QUICKLY_READ_BYTES), plan.table.identifier)
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def refuse_unfit_columns(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """
    Return if the columns can be the key of a table partitioned by time.

    Raises:
        PermanentError: One is missing, may be null (making it not so would scan the table under a lock), or is no
            timestamptz.
    """
    columns = {name: (is_set, is_time) for name, is_set, is_time in connection.execute(_COLUMNS, (plan.table.quoted,))}
    unfit = [name for name in plan.primary_key if not columns.get(name, (False, False))[0]]
    if unfit:
        raise PermanentError(
            f"{plan.table} cannot be converted: {', '.join(unfit)} must be there and NOT NULL. Nothing was changed."
        )
    if not columns.get(plan.key, (False, False))[1] or plan.key not in plan.primary_key:
        raise PermanentError(
            f"{plan.table} cannot be converted: {plan.key} must be a timestamp with time zone and a part of the new "
            "primary key. Nothing was changed."
        )


def _is_usable(connection: psycopg.Connection[Any], plan: PartitionPlan, name: str) -> bool:
    found = read_index(connection, plan.table, name)
    return found is not None and found.is_valid
