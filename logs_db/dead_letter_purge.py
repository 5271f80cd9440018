"""
Letting dead letters go: when their time is over, when somebody says so, and, of those that are rows by now, for room.

What was never replayed goes only with its retention or by an operator's word: it is all that is left of an event.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db.dead_letter_selection import Selection, Totals

if TYPE_CHECKING:
    import psycopg

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024
"""What dead letters may take unless DEAD_LETTERS_MAX_BYTES says otherwise."""
BATCH_ROWS = 1000
SAMPLED_PAGES = 2000
"""Of the table are read to tell what it holds; a smaller one is read whole."""
OTHER_BYTES = 250
"""About what a dead letter takes beside its raw bytes and its detail."""

_PURGE: Final = sql.SQL(
    "WITH gone AS (DELETE FROM public.dead_letters WHERE id = ANY (ARRAY("
    "SELECT id FROM public.dead_letters WHERE {} ORDER BY created_at, id LIMIT %(rows)s FOR UPDATE SKIP LOCKED))"
    " RETURNING octet_length(raw) AS raw_bytes, replayed_at)"
    " SELECT count(*), coalesce(sum(raw_bytes), 0)::bigint, count(*) FILTER (WHERE replayed_at IS NULL) FROM gone"
)
_EXPIRY: LiteralString = "SELECT now() - pg_catalog.make_interval(days => %s)"
_PAGES: LiteralString = """
SELECT pg_catalog.pg_relation_size('public.dead_letters') / pg_catalog.current_setting('block_size')::bigint
"""
# A row carries the size of what is stored beside it, so nothing large is read.  Dead rows and free space do not count:
# what was purged makes room, though the file stays as large as it was.
_HELD: LiteralString = """
SELECT coalesce(sum(pg_catalog.pg_column_size(raw) + octet_length(detail) + %s), 0)::float8
FROM public.dead_letters TABLESAMPLE SYSTEM (%s)
"""


@dataclass(frozen=True, slots=True)
class Room:
    """What dead letters take, after those that are rows were let go where there was too little room."""

    held_bytes: int
    purged: Totals


def purge(connection: psycopg.Connection[Any], selection: Selection, *, stop: threading.Event | None = None) -> Totals:
    """
    Delete the dead letters of *selection*, the oldest first, and return what they were.

    In batches of a transaction each: the connection must be in autocommit.  Two processes may do it at once.
    Where *stop* is set, no further batch begins.
    """
    purged, stop = Totals(), stop or threading.Event()
    while not stop.is_set():
        batch = _purge_batch(connection, selection)
        purged += batch
        if batch.letters < BATCH_ROWS:
            break
    return purged


def purge_expired(
    connection: psycopg.Connection[Any], retention_days: int, *, stop: threading.Event | None = None
) -> Totals:
    """
    Delete those that were last set aside more than *retention_days* ago, as `purge` does.

    Not those accepted so long ago: after an outage that long nobody has had the time to look at them.
    """
    row = connection.execute(_EXPIRY, (retention_days,)).fetchone()
    # What was set aside before then was accepted before then, and of that time there is an index.
    return purge(connection, Selection(until=row[0], seen_until=row[0]), stop=stop) if row else Totals()


def make_room(connection: psycopg.Connection[Any], max_bytes: int, *, stop: threading.Event | None = None) -> Room:
    """
    Where dead letters take more than *max_bytes*, let go of the oldest that were replayed, as many as it takes.

    No other is touched, so they may go on taking more: health then calls for somebody.  *stop* is as for `purge`.
    """
    purged, stop = Totals(), stop or threading.Event()
    while (held := held_bytes(connection)) > max_bytes and not stop.is_set():
        batch = _purge_batch(connection, Selection(replayed=True))
        purged += batch
        if not batch.letters:
            break
    return Room(held, purged)


def held_bytes(connection: psycopg.Connection[Any]) -> int:
    """The bytes that dead letters take, compressed as PostgreSQL stores them; of a large table told by a sample."""
    row = connection.execute(_PAGES).fetchone()
    pages = row[0] if row else 0
    percent = min(100.0, 100.0 * SAMPLED_PAGES / max(pages, 1))
    found = connection.execute(_HELD, (OTHER_BYTES, percent)).fetchone()
    return round(found[0] * 100.0 / percent) if found else 0


def _purge_batch(connection: psycopg.Connection[Any], selection: Selection) -> Totals:
    parameters = selection.parameters | {"rows": BATCH_ROWS}
    row = connection.execute(_PURGE.format(selection.condition), parameters).fetchone()
    return Totals(*row) if row else Totals()
