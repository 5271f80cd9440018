"""The bound of a conversion that was broken off: from that time on the table refuses every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

# As the conversion writes it, on a table that is not a partition yet; with the swap it goes.
_BOUNDS = r"""
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), k.conname::text,
       pg_catalog.to_char(pg_catalog.timezone('UTC', b.texts[1]::timestamptz), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I', n.nspname, c.relname, k.conname)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.regexp_match(pg_catalog.pg_get_constraintdef(k.oid),
    '^CHECK \(\([^<>=]+ < ''([^'']+)''::timestamp with time zone\)\)( NOT VALID)?$') AS texts) b
WHERE k.contype = 'c' AND k.conname LIKE '%\_bound' AND c.relkind = 'r' AND NOT c.relispartition
  AND b.texts IS NOT NULL
ORDER BY 1
"""


@dataclass(frozen=True)
class ConversionBound:
    """
    What a conversion left on a table in use.

    Args:
        table: Which.
        constraint: The CHECK's name.
        at: The time from which on the table takes no row, in UTC, as ISO 8601.
        cure: What takes it back, where the conversion is not to be gone on with.
    """

    table: str
    constraint: str
    at: str
    cure: str

    def __str__(self) -> str:
        """Say it in a sentence's part."""
        return (
            f"{self.table} takes no row from {self.at} on, by {self.constraint} of a conversion that was broken off: "
            f"bring the database to head before, or {self.cure}"
        )


def conversion_bounds(connection: psycopg.Connection) -> tuple[ConversionBound, ...]:
    """Return the bounds that stand on plain tables, by the table's name."""
    return tuple(ConversionBound(*row) for row in connection.execute(_BOUNDS).fetchall())
