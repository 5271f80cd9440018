"""The events that could not become rows: written so that a redelivery is counted, listed, shown and let go."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql
from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    import psycopg


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A dead letter as the worker writes it; the columns of ``dead_letters`` say what each field holds."""

    id: UUID
    created_at: datetime
    reason: str
    detail: str
    event_type: str | None
    source: str
    entry_id: str | None
    entry_index: int | None
    size_bytes: int
    sha256: bytes
    raw: bytes
    raw_is_complete: bool
    generation: str | None = None
    frame_version: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """A dead letter without the bytes that came in."""

    id: UUID
    created_at: datetime
    reason: str
    detail: str
    event_type: str | None
    source: str
    entry_id: str | None
    entry_index: int | None
    size_bytes: int
    seen_count: int
    last_seen_at: datetime
    replayed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredDeadLetter(DeadLetterSummary):
    """A dead letter with the bytes that came in, or the first 64 KiB of them."""

    sha256: bytes
    raw: bytes
    raw_is_complete: bool
    generation: str | None
    frame_version: str | None


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many dead letters have one reason, how many of them were replayed, and when the newest was accepted."""

    reason: str
    rows: int
    replayed_rows: int
    newest_at: datetime

    @property
    def unreplayed_rows(self) -> int:
        """Those that are no rows."""
        return self.rows - self.replayed_rows


def _columns(of: type) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(of))


_UPSERT: Final = sql.SQL(
    "INSERT INTO public.dead_letters AS d ({}) VALUES ({}) "
    "ON CONFLICT (id) DO UPDATE SET "
    "seen_count = d.seen_count + 1, last_seen_at = now(), reason = excluded.reason, detail = excluded.detail"
).format(_columns(DeadLetterRow), sql.SQL(", ").join([sql.Placeholder()] * len(fields(DeadLetterRow))))
_PAGE: Final = sql.SQL("SELECT {} FROM public.dead_letters WHERE {} ORDER BY created_at DESC, id DESC LIMIT %(limit)s")
_ONE: Final = sql.SQL("SELECT {} FROM public.dead_letters WHERE id = %s").format(_columns(StoredDeadLetter))
_COUNTS: LiteralString = """
SELECT reason, count(*) AS rows, count(replayed_at) AS replayed_rows, max(created_at) AS newest_at
FROM public.dead_letters
WHERE %(since)s::timestamptz IS NULL OR created_at >= %(since)s
GROUP BY reason ORDER BY reason
"""
_MARK: LiteralString = """
UPDATE public.dead_letters SET replayed_at = now() WHERE id = %s AND replayed_at IS NULL
"""


def upsert(cursor: psycopg.Cursor[Any], letters: Sequence[DeadLetterRow]) -> None:
    """
    Write *letters* in the transaction of *cursor*; one that is there already is counted, with the latest verdict.

    They are written in the order of their keys, so that two workers with the same ones wait for each other instead
    of running into a deadlock.
    """
    cursor.executemany(_UPSERT, [_values(letter) for letter in sorted(letters, key=lambda letter: letter.id)])


def known_ids(cursor: psycopg.Cursor[Any], letter_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the letters are there."""
    rows = cursor.execute("SELECT id FROM public.dead_letters WHERE id = ANY (%s)", (list(letter_ids),))
    return {letter_id for (letter_id,) in rows}


def mark_replayed(cursor: psycopg.Cursor[Any], letter_ids: Sequence[UUID]) -> None:
    """Note in the transaction of *cursor* that what these letters held are rows now; in the order of their keys."""
    cursor.executemany(_MARK, [(letter_id,) for letter_id in sorted(set(letter_ids))])


def read_page(
    connection: psycopg.Connection[Any],
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    reason: str | None = None,
) -> list[DeadLetterSummary]:
    """Return the *limit* newest dead letters older than *after*, which is created_at and id of the last one shown."""
    conditions = [sql.SQL("true")]
    if reason is not None:
        conditions.append(sql.SQL("reason = %(reason)s"))
    if after is not None:
        conditions.append(sql.SQL("(created_at, id) < (%(time)s, %(id)s)"))
    time, letter_id = after or (None, None)
    statement = _PAGE.format(_columns(DeadLetterSummary), sql.SQL(" AND ").join(conditions))
    with connection.cursor(row_factory=class_row(DeadLetterSummary)) as cursor:
        return cursor.execute(statement, {"reason": reason, "time": time, "id": letter_id, "limit": limit}).fetchall()


def read_one(connection: psycopg.Connection[Any], letter_id: UUID) -> StoredDeadLetter | None:
    """Return the dead letter with that id, bytes and all, or None."""
    with connection.cursor(row_factory=class_row(StoredDeadLetter)) as cursor:
        return cursor.execute(_ONE, (letter_id,)).fetchone()


def read_counts(connection: psycopg.Connection[Any], *, since: datetime | None = None) -> list[DeadLetterCount]:
    """Return how many dead letters there are by reason, of those accepted *since* then or of all."""
    with connection.cursor(row_factory=class_row(DeadLetterCount)) as cursor:
        return cursor.execute(_COUNTS, {"since": since}).fetchall()


def _values(letter: DeadLetterRow) -> tuple[Any, ...]:
    return tuple(getattr(letter, field.name) for field in fields(letter))
