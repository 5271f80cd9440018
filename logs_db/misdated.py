"""
What becomes of rows that the conversion to partitions moved aside, because they were dated days ahead.

A row whose time has a partition by now goes back into its table, any other one becomes a dead letter; a row is always
in exactly one of the three places.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID, uuid5

from psycopg import sql

from logs_db import dead_letters
from logs_db.dead_letters import DeadLetterRow
from migrator.partitioning import read_partitions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import psycopg

    from migrator.partitioning import Relation

BATCH_ROWS: Final = 100
KEPT_RAW_BYTES: Final = 64 * 1024
LARGEST_RAW_BYTES: Final = 16 * 1024 * 1024

_NAMESPACE: Final = UUID("0f8e5c0e-6a1c-5d0b-9a35-5d2c5f1f7d11")
_EVENT_TYPES: Final = {"system_logs": "system_log", "llm_logs": "llm_log"}

_COLUMNS: LiteralString = """
SELECT a.attname::text FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_PUT_BACK: LiteralString = """
WITH batch AS (
    SELECT * FROM {aside} WHERE created_at >= %(lower)s AND created_at < %(upper)s
    ORDER BY created_at, id LIMIT %(limit)s FOR UPDATE
), put AS (
    INSERT INTO {table} ({columns}) SELECT {columns} FROM batch ON CONFLICT DO NOTHING RETURNING created_at, id
)
DELETE FROM {aside} AS a USING put WHERE a.created_at = put.created_at AND a.id = put.id
"""
_REMAINING: LiteralString = """
SELECT a.ctid::text, a.id::text, a.created_at::text, (jsonb_build_object('type', %(type)s::text) || to_jsonb(a))::text,
       EXISTS (SELECT FROM {table} AS t WHERE t.created_at = a.created_at AND t.id = a.id), now()
FROM {aside} AS a LIMIT %(limit)s FOR UPDATE
"""


@dataclass(frozen=True)
class Settled:
    """How many rows went where."""

    put_back: int = 0
    dead_lettered: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(self.put_back + other.put_back, self.dead_lettered + other.dead_lettered)


def aside_of(table: Relation) -> Relation:
    """Return where the conversion moved rows of *table* that fitted into no partition."""
    return table.named(f"{table.name}_misdated")


def put_back_batch(connection: psycopg.Connection[Any], table: Relation, earliest: datetime, latest: datetime) -> int:
    """
    Put some rows back that are dated from *earliest* to before *latest* and have a partition; 0 when none is left.

    In the transaction that is open.
    """
    aside = aside_of(table)
    columns = [row[0] for row in connection.execute(_COLUMNS, (aside.quoted,))]
    statement = sql.SQL(_PUT_BACK).format(
        aside=aside.identifier,
        table=table.identifier,
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
    )
    for partition in read_partitions(connection, table):
        lower = max(earliest, partition.lower or earliest)
        upper = min(latest, partition.upper or latest)
        interval = {"lower": lower, "upper": upper, "limit": BATCH_ROWS}
        moved_rows = connection.execute(statement, interval).rowcount if lower < upper else 0
        if moved_rows:
            return moved_rows
    return 0


def dead_letter_batch(connection: psycopg.Connection[Any], table: Relation) -> int:
    """Make some of the rows that are left dead letters; 0 when none is left.  In the transaction that is open."""
    aside, event_type = aside_of(table), _EVENT_TYPES[table.name]
    statement = sql.SQL(_REMAINING).format(table=table.identifier, aside=aside.identifier)
    rows = connection.execute(statement, {"type": event_type, "limit": BATCH_ROWS}).fetchall()
    with connection.cursor() as cursor:
        dead_letters.upsert(cursor, list(_letters(rows, event_type)))
    connection.execute(
        sql.SQL("DELETE FROM {} WHERE ctid = ANY (%s::tid[])").format(aside.identifier), ([row[0] for row in rows],)
    )
    return len(rows)


def drop_if_empty(connection: psycopg.Connection[Any], table: Relation) -> None:
    """Drop the side table of *table* if it has no row left.  In the transaction that is open."""
    aside = aside_of(table).identifier
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(aside))
    row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(aside)).fetchone()
    if row is not None and not row[0]:
        connection.execute(sql.SQL("DROP TABLE {}").format(aside))


def _letters(rows: list[Any], event_type: str) -> Iterator[DeadLetterRow]:
    for _, row_id, time, text, is_taken, now in rows:
        raw = text.encode()
        is_complete = len(raw) <= LARGEST_RAW_BYTES
        yield DeadLetterRow(
            id=uuid5(_NAMESPACE, f"{event_type}\0{row_id}\0{time}"),
            created_at=now,
            reason="conflict" if is_taken else "timestamp_out_of_range",
            detail=(
                "its key was taken by another row when it was to be put back"
                if is_taken
                else f"its time was {time}, for which there is no partition"
            ),
            event_type=event_type,
            source="legacy",
            entry_id=None,
            entry_index=None,
            size_bytes=len(raw),
            sha256=hashlib.sha256(raw).digest(),
            raw=raw if is_complete else raw[:KEPT_RAW_BYTES],
            raw_is_complete=is_complete,
        )
