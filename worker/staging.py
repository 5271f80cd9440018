"""Inserting rows of which some may be there already: staged by COPY, compared by key, told apart by body."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, LiteralString

import psycopg
from msgspec.structs import astuple

from logs_db.dead_letters import DeadLetterRow
from worker.account import Outcome
from worker.brake import Brake
from worker.data_errors import is_data_error
from worker.decode import Row
from worker.suspects import RowKey
from worker.tables import LLM_LOGS, SYSTEM_LOGS, Table, copy_rows, types_of
from worker.verdicts import Reason, RejectedError

_INSERT: dict[Table, LiteralString] = {
    SYSTEM_LOGS: """
INSERT INTO {table} ({columns})
SELECT DISTINCT ON (created_at, id) {columns} FROM {staged} ORDER BY created_at, id, ordinal
ON CONFLICT (created_at, id) DO NOTHING RETURNING created_at, id
""",
    # A call whose day of payloads was dropped is a row without one; a payload that outlived its call's row stands.
    LLM_LOGS: """
WITH firsts AS MATERIALIZED (
    SELECT DISTINCT ON (created_at, id) * FROM {staged} ORDER BY created_at, id, ordinal
), inserted AS (
    INSERT INTO {table} ({columns}) SELECT {columns} FROM firsts ORDER BY created_at, id
    ON CONFLICT (created_at, id) DO NOTHING RETURNING created_at, id
), payloads AS (
    INSERT INTO public.llm_payloads (created_at, id, prompt, response)
    SELECT created_at, id, prompt, response FROM firsts JOIN inserted USING (created_at, id)
    WHERE (prompt IS NOT NULL OR response IS NOT NULL) AND created_at >= {payloads_kept_since}
    ON CONFLICT (created_at, id) DO NOTHING
)
SELECT created_at, id FROM inserted
""",
}

# The bounds of time keep the plan from opening every partition that there is.
_CONFLICTS: dict[Table, LiteralString] = {
    SYSTEM_LOGS: """
SELECT new.ordinal FROM {staged} AS new JOIN {table} AS old USING (created_at, id)
WHERE old.created_at BETWEEN %(first)s AND %(last)s AND ({new_body}) IS DISTINCT FROM ({old_body})
""",
    # A payload that was dropped cannot be compared any more: what is left of the call tells.
    LLM_LOGS: """
SELECT new.ordinal FROM {staged} AS new JOIN {table} AS old USING (created_at, id)
LEFT JOIN public.llm_payloads AS kept ON kept.created_at = old.created_at AND kept.id = old.id
    AND kept.created_at BETWEEN %(first)s AND %(last)s
WHERE old.created_at BETWEEN %(first)s AND %(last)s
AND (({new_body}) IS DISTINCT FROM ({old_body}) OR (
    (new.prompt, new.response)
        IS DISTINCT FROM (coalesce(kept.prompt, old.prompt), coalesce(kept.response, old.response))
    AND old.created_at >= {payloads_kept_since}))
""",
}

Result = tuple[Row, Outcome, DeadLetterRow | None]
"""A row, what became of it, and the dead letter that it became."""


def insert_rows(
    cursor: psycopg.Cursor[Any],
    table: Table,
    rows: Sequence[Row],
    brake: Brake,
    suspects: AbstractSet[RowKey] | None = frozenset(),
) -> list[Result]:
    """
    Insert the *rows* whose key is free; the suspects among them, or all where that is None, as far as they pass.

    Raises:
        DatabaseRefusesError: Even harmless rows are refused.
        psycopg.Error: Nothing was inserted.
    """
    trusted = [row for row in rows if suspects is not None and row.key not in suspects]
    doubted = [row for row in rows if suspects is None or row.key in suspects]
    results = insert_absent(cursor, table, trusted) if trusted else []
    brake.accepted(len(trusted))
    results += insert_by_halves(cursor, table, doubted, brake) if doubted else []
    if not _any_refused(results):
        brake.released()
    return results


def insert_absent(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> list[Result]:
    """
    Insert the *rows* whose key is free, in key order so that two workers never wait for one another in a circle.

    A row whose key holds the same body is a duplicate; one whose key holds another body is dead, and the first stands.
    """
    _stage(cursor, table, rows)
    inserted = cursor.execute(table.statement(_INSERT[table])).fetchall()
    conflicts = _conflicts(cursor, table, rows) if len(inserted) < len(rows) else set()
    cursor.execute(table.statement("DROP TABLE {staged}"))
    return list(_results(table, rows, set(inserted), conflicts))


def insert_by_halves(
    cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row], brake: Brake, *, known_refused: bool = False
) -> list[Result]:
    """As `insert_absent`, but a row that PostgreSQL refuses is found by halving and becomes a dead letter."""
    if not known_refused or len(rows) == 1:
        try:
            with cursor.connection.transaction():
                results = insert_absent(cursor, table, rows)
            brake.accepted(len(rows))
            return results
        except psycopg.Error as exc:
            if not is_data_error(exc):
                raise
            if len(rows) == 1:
                brake.refused(cursor.connection, rows[0].event.created_at)
                said = f"SQLSTATE {exc.sqlstate}" if exc.sqlstate else f"{type(exc).__name__} of the driver"
                rejection = RejectedError(Reason.REFUSED, said, table.event_type)
                return [(rows[0], "dead", rows[0].rejected(rejection))]
    half = len(rows) // 2
    first = insert_by_halves(cursor, table, rows[:half], brake)
    # Where the first half passed, the fault lies in the second: trying that as a whole would be in vain.
    return first + insert_by_halves(cursor, table, rows[half:], brake, known_refused=not _any_refused(first))


def _any_refused(results: Sequence[Result]) -> bool:
    return any(letter is not None and letter.reason == Reason.REFUSED for _, _, letter in results)


def _stage(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> None:
    cursor.execute(
        table.statement(
            "CREATE TEMPORARY TABLE {staged} ON COMMIT DROP AS"
            " SELECT 0 AS ordinal, {staged_columns} FROM {table} WITH NO DATA"
        )
    )
    statement = table.statement("COPY {staged} (ordinal, {staged_columns}) FROM STDIN (FORMAT BINARY)")
    numbered = ((ordinal, *astuple(row.event)) for ordinal, row in enumerate(rows))
    copy_rows(cursor, statement, ["int4", *types_of(table.struct)], numbered)


def _conflicts(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> set[int]:
    """The ordinals of the staged *rows* whose key holds another body."""
    times = [row.event.created_at for row in rows]
    cursor.execute(table.statement(_CONFLICTS[table]), {"first": min(times), "last": max(times)})
    return {ordinal for (ordinal,) in cursor.fetchall()}


def _results(
    table: Table, rows: Sequence[Row], inserted: set[tuple[Any, ...]], conflicts: set[int]
) -> Iterator[Result]:
    """What became of each row: of several with one key, the first is the one that was inserted."""
    rejection = RejectedError(Reason.CONFLICT, "its key is taken by an event with another body", table.event_type)
    for ordinal, row in enumerate(rows):
        if row.key in inserted:
            inserted.remove(row.key)
            yield row, "written", None
        elif ordinal in conflicts:
            yield row, "dead", row.rejected(rejection)
        else:
            yield row, "deduplicated", None
