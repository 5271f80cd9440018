"""An index of a partitioned table and what belongs to it at each partition, as the catalog shows them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from migrator.ops.indexes import FoundIndex, after_table
from migrator.partitioning import Relation

if TYPE_CHECKING:
    import psycopg

MAX_NAME_BYTES = 63
_HASH_DIGITS = 10

# A partition that is being detached counts for nothing any more, also for PostgreSQL.
_TREE: LiteralString = """
SELECT n.nspname::text, c.relname::text, c.relkind::text, d.relname::text, coalesce(x.indisvalid, false),
       m.nspname::text, a.relname::text
FROM (
    WITH RECURSIVE branch AS (
        SELECT c.oid AS relation, 0::oid AS above, pg_catalog.to_regclass(%(index)s)::oid AS index, 0 AS depth
        FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%(table)s)
        UNION ALL
        SELECT i.inhrelid, b.relation, (
            SELECT x.indexrelid FROM pg_catalog.pg_index x JOIN pg_catalog.pg_inherits u ON u.inhrelid = x.indexrelid
            WHERE x.indrelid = i.inhrelid AND u.inhparent = b.index), b.depth + 1
        FROM branch b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.relation AND NOT i.inhdetachpending
    )
    SELECT * FROM branch
) b
JOIN pg_catalog.pg_class c ON c.oid = b.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = b.index
LEFT JOIN pg_catalog.pg_class d ON d.oid = b.index
LEFT JOIN pg_catalog.pg_class a ON a.oid = b.above
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = a.relnamespace
ORDER BY b.depth, n.nspname, c.relname
"""
# Not those behind a constraint: once attached they could not be dropped with the parent's index.
_UNATTACHED: LiteralString = """
SELECT c.relname::text, pg_catalog.pg_get_indexdef(x.indexrelid), x.indisunique, x.indisvalid
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
WHERE x.indrelid = pg_catalog.to_regclass(%s) AND x.indisvalid AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = x.indexrelid)
ORDER BY c.relname <> %s, c.relname
"""


@dataclass(frozen=True)
class Branch:
    """
    The partitioned table, one of its partitions, or a partition's partition.

    Args:
        table: Which.
        kind: What it is, in pg_class's letters.
        index: What it has of the partitioned table's index; None: nothing is attached.
        is_valid: That is valid.
        above: The table that it is a partition of; None: it is the partitioned table itself.
    """

    table: Relation
    kind: str
    index: Relation | None
    is_valid: bool
    above: Relation | None

    @property
    def is_partitioned(self) -> bool:
        """Whether it holds partitions and no rows."""
        return self.kind == "p"


def read_tree(connection: psycopg.Connection[Any], table: Relation, index: str) -> list[Branch]:
    """Return *table* and what is below it with what belongs to its index called *index*, tables before partitions."""
    names = {"table": table.quoted, "index": table.named(index).quoted}
    return [
        Branch(
            table=Relation(schema, name),
            kind=kind,
            index=None if own is None else Relation(schema, own),
            is_valid=is_valid,
            above=None if above is None else Relation(above_schema, above),
        )
        for schema, name, kind, own, is_valid, above_schema, above in connection.execute(_TREE, names).fetchall()
    ]


def equal_index(
    connection: psycopg.Connection[Any], table: Relation, expected: FoundIndex, preferred: str
) -> Relation | None:
    """Return a valid index of *table* that equals *expected* and is free to be attached, *preferred* by name."""
    for name, definition, is_unique, is_valid in connection.execute(_UNATTACHED, (table.quoted, preferred)).fetchall():
        if FoundIndex(after_table(definition), is_unique, is_valid).equals(expected):
            return table.named(name)
    return None


def child_name(table: str, index: str) -> str:
    """
    Return what the partition *table*'s part of *index* is called: readable, within 63 bytes, and nobody else's.

    The hash keeps apart what would look the same once it is cut or joined, as `a_b` with `c` and `a` with `b_c`.
    """
    digest = hashlib.sha256(f"{table}\0{index}".encode()).hexdigest()[:_HASH_DIGITS]
    readable = f"{table}_{index}".encode()[: MAX_NAME_BYTES - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{readable}_{digest}"
