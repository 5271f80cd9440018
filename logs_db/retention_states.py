"""What retention remembers of each log table: since when it knows it, what it cut off, and what it may cut off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from migrator.partitioning import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_IS_THERE: LiteralString = "SELECT pg_catalog.to_regclass('public.retention_states') IS NOT NULL"
_READ: LiteralString = """
SELECT table_name, first_seen_at, kept_since, consented_until, consented_by FROM public.retention_states
"""
# A table without a row at first sight has nothing that anybody would miss: what comes later is retention's own.
_REGISTER: LiteralString = """
INSERT INTO public.retention_states (table_name, consented_until, consented_by)
SELECT {name}, CASE WHEN is_empty THEN date_trunc('day', now(), 'UTC') + interval '24 hours' END,
       CASE WHEN is_empty THEN 'nobody: the table was empty when retention first saw it' END
FROM (SELECT NOT EXISTS (SELECT FROM {table})) AS found (is_empty)
ON CONFLICT (table_name) DO NOTHING
"""
_CONSENT: LiteralString = """
UPDATE public.retention_states
SET consented_until = %(until)s, consented_by = left(%(by)s, 255)
WHERE table_name = %(table)s AND (consented_until IS NULL OR consented_until < %(until)s)
"""
_KEEP_SINCE: LiteralString = """
UPDATE public.retention_states SET kept_since = greatest(kept_since, %s) WHERE table_name = %s
"""


@dataclass(frozen=True, slots=True)
class TableState:
    """A row of ``retention_states``: instants in UTC, by the database's clock."""

    table: str
    first_seen_at: datetime
    kept_since: datetime | None = None
    consented_until: datetime | None = None
    consented_by: str | None = None

    def may_lose(self, since: datetime | None, until: datetime) -> bool:
        """Whether rows from *since* to before *until* may go: all that were there before us need consent."""
        if since is not None and since >= self.first_seen_at:
            return True
        return self.consented_until is not None and self.consented_until >= min(until, self.first_seen_at)


def register(connection: psycopg.Connection[Any], tables: Iterable[str]) -> None:
    """Note since when retention knows *tables*, once for all; a table that is not there yet is left out."""
    known = read_states(connection)
    if known is None:
        return
    for table in tables:
        relation = Relation("public", table)
        if table not in known and _answer(connection, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", relation.quoted):
            connection.execute(
                sql.SQL(_REGISTER).format(name=sql.Literal(table), table=relation.identifier),
            )


def read_states(connection: psycopg.Connection[Any]) -> dict[str, TableState] | None:
    """What is remembered, by table; None where the schema is older than retention."""
    if not _answer(connection, _IS_THERE):
        return None
    rows = connection.execute(_READ).fetchall()
    return {
        table: TableState(table, seen.astimezone(UTC), _in_utc(kept_since), _in_utc(agreed), by)
        for table, seen, kept_since, agreed, by in rows
    }


def read_kept_since(connection: psycopg.Connection[Any], table: str) -> datetime | None:
    """The midnight before which the days of *table* were dropped, never to be made again; None: none was."""
    states = read_states(connection) or {}
    return states[table].kept_since if table in states else None


def consent(connection: psycopg.Connection[Any], table: str, until: datetime, by: str) -> None:
    """
    Let rows of *table* before *until* go once retention is over, though they are older than retention itself.

    Args:
        connection: In autocommit, or in the transaction that this is to be a part of.
        table: One of the log tables.
        until: A UTC midnight; an earlier one than was agreed to before changes nothing.
        by: Who agreed, or which archive stands for the agreement.
    """
    register(connection, [table])
    connection.execute(_CONSENT, {"table": table, "until": until, "by": by})


def keep_since(connection: psycopg.Connection[Any], table: str, midnight: datetime) -> None:
    """Let no day of *table* before *midnight* be made again.  In the transaction that holds the maintenance lock."""
    connection.execute(_KEEP_SINCE, (midnight, table))


def _answer(connection: psycopg.Connection[Any], question: LiteralString, *parameters: object) -> bool:
    row = connection.execute(question, parameters).fetchone()
    return bool(row and row[0])


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
