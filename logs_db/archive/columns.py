"""
The columns of a log table on their way into Parquet and back.

Every row travels as a line of CSV, each value in quotes and NULL without: PostgreSQL and Arrow write that alike, so the
bytes that came from the table and those that are made of the file can be compared.  Instants travel as microseconds
since 1970, because only numbers have no format to agree on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db.archive.errors import ArchiveError
from logs_db.archive.extra import load

if TYPE_CHECKING:
    import psycopg

    from migrator.partitioning import Relation

TIMESTAMP: Final = "timestamp with time zone"
INFINITY: Final = 2**63 - 1
"""What stands for an infinite instant, and less it for the one before all time: DuckDB's own way of writing them."""

_ARROW_TYPES: Final = {
    TIMESTAMP: "int64",
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "boolean": "bool_",
}
"""All others are kept as PostgreSQL writes them: numeric with each of its zeros, jsonb with its spaces."""

_PLAIN_TYPE: Final = re.compile(r"[a-z][a-z ]*(\(\d+(,\d+)?\))?")

_READ: LiteralString = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_MICROSECONDS: LiteralString = """
CASE WHEN isfinite({name}) THEN (extract(epoch FROM {name}) * 1000000)::bigint
     WHEN {name} > 'epoch' THEN 9223372036854775807 WHEN {name} < 'epoch' THEN -9223372036854775807 END
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name and its type in PostgreSQL."""

    name: str
    type: str

    @property
    def arrow_type(self) -> Any:
        """What it is while it travels."""
        return getattr(load("pyarrow"), _ARROW_TYPES.get(self.type, "string"))()

    @property
    def selected(self) -> sql.Composable:
        """The expression that reads it from the table."""
        name = sql.Identifier(self.name)
        return sql.SQL(_MICROSECONDS).format(name=name) if self.type == TIMESTAMP else name

    @property
    def defined(self) -> sql.Composed:
        """Its definition in a new table."""
        if not _PLAIN_TYPE.fullmatch(self.type):
            raise ArchiveError(f"The manifest names the type {self.type!r}, which no log table has. Nothing was done.")
        # The pattern lets nothing through that could be more than a type.
        return sql.SQL("{} {}").format(sql.Identifier(self.name), sql.SQL(self.type))

    def stored(self, array: Any) -> Any:
        """What travelled, as Parquet keeps it."""
        arrow = load("pyarrow")
        return array.cast(arrow.timestamp("us", tz="UTC")) if self.type == TIMESTAMP else array

    def travelling(self, array: Any) -> Any:
        """What Parquet kept, as the text that travelled."""
        arrow = load("pyarrow")
        if self.type == TIMESTAMP:
            return array.cast(arrow.int64()).cast(arrow.string())
        if self.type == "boolean":
            return load("pyarrow.compute").if_else(array, "t", "f")
        return array.cast(arrow.string())

    def restored(self, array: Any) -> Any:
        """What Parquet kept, as the text that PostgreSQL takes."""
        if self.type != TIMESTAMP:
            return self.travelling(array)
        arrow, compute = load("pyarrow"), load("pyarrow.compute")
        number, text = array.cast(arrow.int64()), array.cast(arrow.string())
        text = compute.if_else(compute.equal(number, INFINITY), "infinity", text)
        return compute.if_else(compute.equal(number, -INFINITY), "-infinity", text)


def read_columns(connection: psycopg.Connection[Any], relation: Relation) -> list[Column]:
    """
    The columns of a table, in its order.

    Raises:
        ArchiveError: There is no such table.
    """
    columns = [Column(*row) for row in connection.execute(_READ, (relation.quoted,)).fetchall()]
    if not columns:
        raise ArchiveError(f"There is no table {relation}. Nothing was archived.")
    return columns
