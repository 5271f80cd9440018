"""How far a change in batches has come: one row in the schema `migrator`, written in the transaction of each batch."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_EXISTS: LiteralString = "SELECT pg_catalog.to_regclass('migrator.batch_positions') IS NOT NULL"
_CREATE: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS migrator",
    """CREATE TABLE IF NOT EXISTS migrator.batch_positions (
    change text PRIMARY KEY,
    table_name text NOT NULL,
    position text[] NOT NULL,
    seen_rows bigint NOT NULL,
    changed_rows bigint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz NOT NULL DEFAULT now()
)""",
    "COMMENT ON TABLE migrator.batch_positions IS 'How far each change in batches that is not done yet has come'",
    "COMMENT ON COLUMN migrator.batch_positions.change IS 'Hash of the table, its key, the change and its condition'",
    "COMMENT ON COLUMN migrator.batch_positions.position IS 'Primary key of the last row that was looked at'",
)
_READ: LiteralString = "SELECT position, seen_rows, changed_rows FROM migrator.batch_positions WHERE change = %s"
_SAVE: LiteralString = """
INSERT INTO migrator.batch_positions AS b (change, table_name, position, seen_rows, changed_rows)
VALUES (%(change)s, %(table)s, %(position)s, %(seen)s, %(changed)s)
ON CONFLICT (change) DO UPDATE SET position = excluded.position, moved_at = now(),
    seen_rows = b.seen_rows + excluded.seen_rows, changed_rows = b.changed_rows + excluded.changed_rows
"""
_DELETE: LiteralString = "DELETE FROM migrator.batch_positions WHERE change = %s"


class BatchPosition:
    """
    The position of one change on one connection.

    Args:
        connection: Outside a transaction.
        table: The table's name, for people who look into the row.
        identity: What makes the change this one; another text begins at the first row.
    """

    def __init__(self, connection: psycopg.Connection[Any], table: str, identity: Sequence[object]) -> None:
        self._connection = connection
        self._table = table
        self._change = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        row = connection.execute(_EXISTS).fetchone()
        if row is None or not row[0]:
            with connection.transaction():
                for statement in _CREATE:
                    connection.execute(statement)

    def read(self) -> tuple[list[str] | None, int, int]:
        """Return where the walk is, how many rows it saw and how many it changed; None: before the first row."""
        row = self._connection.execute(_READ, (self._change,)).fetchone()
        return (None, 0, 0) if row is None else (row[0], row[1], row[2])

    def save(self, position: Sequence[str], *, seen: int, changed: int) -> None:
        """Note that the walk reached *position*, and what the batch before it added."""
        values = {"change": self._change, "table": self._table, "seen": seen, "changed": changed}
        self._connection.execute(_SAVE, {**values, "position": list(position)})

    def forget(self) -> None:
        """Note that the walk is over."""
        self._connection.execute(_DELETE, (self._change,))
