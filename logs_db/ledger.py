"""
The ledger: what became of each accepted event, written in the transaction that wrote it.

A row a kind and stream entry, appended: two workers meet only where they hold the same entry, and then the second one
learns from the key that there is nothing left to do.  Finished entries are folded into sums by the hour.
"""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

FOLD_BATCH_ROWS = 5000

EntryKey = tuple[int, int, str]
"""Milliseconds, sequence number and generation of a stream entry."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of the events of one kind in one stream entry; the columns of ``ledger_entries``."""

    entry_ms: int
    entry_seq: int
    generation: str
    kind: str
    written_events: int
    deduplicated_events: int
    dead_events: int


@dataclass(frozen=True, slots=True)
class HourSum:
    """What became of the events of one kind that were accepted in one hour."""

    accepted_hour: datetime
    kind: str
    written_events: int
    deduplicated_events: int
    dead_events: int

    @property
    def events(self) -> int:
        """All of them."""
        return self.written_events + self.deduplicated_events + self.dead_events


TYPES = ["int8", "int8", "text", "text", "int4", "int4", "int4"]

_COPY: LiteralString = """
COPY public.ledger_entries
(entry_ms, entry_seq, generation, kind, written_events, deduplicated_events, dead_events)
FROM STDIN (FORMAT BINARY)
"""
_KNOWN: LiteralString = """
SELECT DISTINCT entry_ms, entry_seq, generation FROM public.ledger_entries
WHERE (entry_ms, entry_seq, generation) IN (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[]))
"""
_FOLD: LiteralString = """
WITH finished AS (
    DELETE FROM public.ledger_entries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.ledger_entries
        WHERE generation <> %(generation)s OR (entry_ms, entry_seq) < (%(ms)s, %(seq)s)
        ORDER BY entry_ms, entry_seq LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING *
), summed AS (
    INSERT INTO public.ledger_hours AS h
        (accepted_hour, generation, kind, written_events, deduplicated_events, dead_events)
    SELECT to_timestamp(entry_ms / 3600000 * 3600), generation, kind,
           sum(written_events), sum(deduplicated_events), sum(dead_events)
    FROM finished GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (accepted_hour, generation, kind) DO UPDATE SET
        written_events = h.written_events + excluded.written_events,
        deduplicated_events = h.deduplicated_events + excluded.deduplicated_events,
        dead_events = h.dead_events + excluded.dead_events
)
SELECT count(*) FROM finished
"""
_SUMS: LiteralString = """
SELECT accepted_hour, kind, sum(written)::bigint, sum(deduplicated)::bigint, sum(dead)::bigint FROM (
    SELECT to_timestamp(entry_ms / 3600000 * 3600), kind, written_events, deduplicated_events, dead_events
    FROM public.ledger_entries WHERE generation = %(generation)s
    UNION ALL
    SELECT accepted_hour, kind, written_events, deduplicated_events, dead_events
    FROM public.ledger_hours WHERE generation = %(generation)s
) AS both_tables (accepted_hour, kind, written, deduplicated, dead)
GROUP BY 1, 2 ORDER BY 1, 2
"""


def append(cursor: psycopg.Cursor[Any], rows: Sequence[LedgerRow]) -> None:
    """
    Append *rows* in the transaction of *cursor*.

    Raises:
        psycopg.errors.UniqueViolation: An entry is there already, so its events have been written: see `known_entries`.
    """
    if rows:
        with cursor.copy(_COPY) as copy:
            copy.set_types(TYPES)
            for row in rows:
                copy.write_row(astuple(row))


def known_entries(cursor: psycopg.Cursor[Any], keys: Iterable[EntryKey]) -> set[EntryKey]:
    """Which of the entries *keys* have been written already."""
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
    return set(cursor.execute(_KNOWN, columns).fetchall())


def fold(
    connection: psycopg.Connection[Any],
    *,
    generation: str,
    oldest_ms: int,
    oldest_seq: int,
    stop: threading.Event | None = None,
) -> int:
    """
    Fold into sums what is gone from the stream: entries before the oldest one left, and those of other generations.

    In batches of a transaction each: the connection must be in autocommit.  Two processes may do it at once.
    Where *stop* is set, no further batch begins.
    """
    folded_rows, stop = 0, stop or threading.Event()
    parameters = {"generation": generation, "ms": oldest_ms, "seq": oldest_seq, "limit": FOLD_BATCH_ROWS}
    while not stop.is_set():
        row = connection.execute(_FOLD, parameters).fetchone()
        batch_rows = row[0] if row else 0
        folded_rows += batch_rows
        if batch_rows < FOLD_BATCH_ROWS:
            break
    return folded_rows


def read_sums(connection: psycopg.Connection[Any], generation: str) -> list[HourSum]:
    """What became of the events of one generation of the stream, by hour of acceptance and kind."""
    rows = connection.execute(_SUMS, {"generation": generation}).fetchall()
    return [HourSum(hour.astimezone(UTC), *rest) for hour, *rest in rows]
