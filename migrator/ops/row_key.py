"""The primary key of a table as the way through its rows: where a walk is, and what lies before and behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from migrator.errors import PermanentError
from migrator.ops.indexes import as_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from migrator.partitioning import Relation

_KEY: LiteralString = """
SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place),
       pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY k.place)
FROM pg_catalog.pg_index x
CROSS JOIN LATERAL pg_catalog.unnest(x.indkey) WITH ORDINALITY AS k(number, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number
WHERE x.indrelid = pg_catalog.to_regclass(%s) AND x.indisprimary AND k.place <= x.indnkeyatts
"""


@dataclass(frozen=True)
class RowKey:
    """
    The columns of a primary key, in its index's order, and their types.

    A position is what one row has in them, as text.  Comparisons are written with constants and say of the first
    column what they say of all, because only by that can PostgreSQL leave partitions out.
    """

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def listed(self) -> sql.Composed:
        """The columns, separated by commas."""
        return sql.SQL(", ").join(self._named)

    @property
    def as_texts(self) -> sql.Composed:
        """An expression for the position of a row."""
        return sql.SQL("ARRAY[{}]").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column in self._named)
        )

    def between(self, start: Sequence[str] | None, end: Sequence[str] | None) -> sql.Composed:
        """Return the condition for rows behind *start* up to and with *end*; None: from the first, to the last."""
        parts: list[sql.Composable] = [sql.SQL("true")]
        for position, every, leading in ((start, ">", ">="), (end, "<=", "<=")):
            if position is not None:
                values = self._values(position)
                parts.append(sql.SQL("{} {} {}").format(self._named[0], as_written(leading), values[0]))
                listed = sql.SQL(", ").join(values)
                parts.append(sql.SQL("({}) {} ({})").format(self.listed, as_written(every), listed))
        return sql.SQL(" AND ").join(parts)

    @property
    def _named(self) -> list[sql.Identifier]:
        # With the table's name, because the change may join others.
        return [sql.Identifier(self.table, column) for column in self.columns]

    def _values(self, position: Iterable[str]) -> list[sql.Composed]:
        return [
            sql.SQL("{}::{}").format(sql.Literal(text), as_written(kind))
            for text, kind in zip(position, self.types, strict=True)
        ]


def read_key(connection: psycopg.Connection[Any], table: Relation) -> RowKey:
    """
    Return the primary key of *table*.

    Raises:
        PermanentError: It has none.
    """
    row = connection.execute(_KEY, (table.quoted,)).fetchone()
    if row is None or row[0] is None:
        raise PermanentError(
            f"{table} has no primary key, so there is no order in which its rows could be changed in batches. Nothing "
            "was changed. Give it one first."
        )
    return RowKey(table.name, tuple(row[0]), tuple(row[1]))
