"""
Taking a partition off its table without stopping anybody, and finding it again after a kill.

DETACH CONCURRENTLY takes no lock that a reader or a writer minds.  It hides the partition from new statements at once,
then waits for every transaction that used the table before; one that reads for hours makes it give up after
`DETACH_SECONDS`, with the detachment pending.  The next pass finalises it, once that reader has gone.

A partition is marked by a comment before it is detached.  Only a table with that comment, whose days retention has
written off, is ever dropped: none that somebody detached or made by hand.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db import retention_states
from migrator.partitioning import Partition, Relation, midnight_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

DETACH_SECONDS: Final = 5.0
"""How long one statement waits for transactions that were there before: a worker that is to stop waits no longer."""

MARK: Final = "headhunter retention: "

_PENDING: LiteralString = """
SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = pg_catalog.to_regclass(%s) AND i.inhdetachpending
"""
# What is pending is neither attached nor detached: it stays marked until it is the latter.
_MARKED: LiteralString = """
SELECT c.relname, pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
  AND pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), %s)
  AND c.relispartition = %s AND i.inhdetachpending IS NOT TRUE
ORDER BY c.relname
"""
_ACCOUNT: LiteralString = """
INSERT INTO public.dropped_partitions (table_name, partition_name, since, until, size_bytes, archive)
VALUES (%s, %s, %s, %s, pg_catalog.pg_total_relation_size(%s::pg_catalog.regclass), %s) RETURNING size_bytes
"""


@dataclass(frozen=True, slots=True)
class Detached:
    """
    A table that was a partition of *table*, waiting to be dropped.

    Args:
        since: Its lower bound; None: it had none.
        until: Its upper bound, not included.
    """

    table: str
    name: str
    since: datetime | None
    until: datetime

    @property
    def relation(self) -> Relation:
        """Its name, with the schema."""
        return Relation("public", self.name)


def mark(connection: psycopg.Connection[Any], table: str, partition: Partition, until: datetime) -> Detached:
    """Write off the days of *partition*, and write on it that it goes.  Under the maintenance lock."""
    retention_states.keep_since(connection, table, until)
    bounds = {"table": table, "since": partition.lower and partition.lower.isoformat(), "until": until.isoformat()}
    _comment(connection, Relation("public", partition.name), MARK + json.dumps(bounds))
    return Detached(table, partition.name, partition.lower, until)


def detach(connection: psycopg.Connection[Any], marked: Detached) -> None:
    """
    Detach it from its table.

    Raises:
        psycopg.errors.QueryCanceled: Somebody used the table for so long; it is pending now, see `finalize_pending`.
    """
    parent = Relation("public", marked.table)
    with bounded(connection):
        connection.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY").format(
                parent.identifier, marked.relation.identifier
            )
        )


def finalize_pending(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """
    Complete what a detachment that was cut short left of *table*; the names of those partitions.

    Raises:
        psycopg.errors.QueryCanceled: A transaction is still open that began before.
    """
    parent = Relation("public", table)
    names = [name for (name,) in connection.execute(_PENDING, (parent.quoted,)).fetchall()]
    for name in names:
        with bounded(connection):
            connection.execute(
                sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(
                    parent.identifier, parent.named(name).identifier
                )
            )
    return names


def read_detached(connection: psycopg.Connection[Any]) -> list[Detached]:
    """The tables that retention has detached and not yet dropped, the oldest first."""
    states = retention_states.read_states(connection) or {}
    detached = [
        each
        for each in _marked(connection, is_attached=False)
        if each.table in states
        and (kept_since := states[each.table].kept_since) is not None
        and each.until <= kept_since
    ]
    return sorted(detached, key=lambda each: each.until)


def attach_statement(detached: Detached) -> str:
    """What to run to have it among the partitions of its table again."""
    statement = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
        detached.relation.named(detached.table).identifier,
        detached.relation.identifier,
        sql.SQL("MINVALUE") if detached.since is None else midnight_literal(detached.since),
        midnight_literal(detached.until),
    )
    return statement.as_string()


def unmark_attached(connection: psycopg.Connection[Any]) -> None:
    """Take the mark off partitions that are attached after all, so that whoever detaches one by hand keeps it."""
    for each in _marked(connection, is_attached=True):
        _comment(connection, each.relation, None)


def drop(connection: psycopg.Connection[Any], detached: Detached, archive: str | None) -> int:
    """Drop it and account for it, in the transaction that is open; the bytes that the disk has back."""
    relation = detached.relation
    values = (detached.table, detached.name, detached.since, detached.until, relation.quoted, archive)
    row = connection.execute(_ACCOUNT, values).fetchone()
    connection.execute(sql.SQL("DROP TABLE {}").format(relation.identifier))
    return row[0] if row else 0


@contextmanager
def bounded(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Let no statement take longer than `DETACH_SECONDS`; outside any transaction, where SET LOCAL does nothing."""
    connection.execute(
        "SELECT pg_catalog.set_config('statement_timeout', %s, false)", (f"{DETACH_SECONDS * 1000:.0f}",)
    )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET statement_timeout")


def _marked(connection: psycopg.Connection[Any], *, is_attached: bool) -> list[Detached]:
    rows = connection.execute(_MARKED, (MARK, is_attached)).fetchall()
    return [_parsed(name, comment) for name, comment in rows]


def _parsed(name: str, comment: str) -> Detached:
    bounds = json.loads(comment.removeprefix(MARK))
    since = bounds["since"] and datetime.fromisoformat(bounds["since"])
    return Detached(bounds["table"], name, since, datetime.fromisoformat(bounds["until"]))


def _comment(connection: psycopg.Connection[Any], relation: Relation, text: str | None) -> None:
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(relation.identifier, sql.Literal(text)))
