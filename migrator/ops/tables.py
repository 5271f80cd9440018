"""The table that an operation is given: whether it is there, and fit to be worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from migrator.errors import PermanentError

if TYPE_CHECKING:
    import psycopg

    from migrator.partitioning import Relation

_KIND: LiteralString = "SELECT c.relkind::text FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)"


def require_table(connection: psycopg.Connection[Any], table: Relation) -> bool:
    """
    Return if *table* is a table: whether it is partitioned.

    Raises:
        PermanentError: It is something else, or not there.
    """
    row = connection.execute(_KIND, (table.quoted,)).fetchone()
    if row is None or row[0] not in {"r", "p"}:
        raise PermanentError(
            f"{table} is {'not there' if row is None else 'no table'}, so it cannot be changed. Nothing was done. "
            "Correct the revision's table or schema."
        )
    return bool(row[0] == "p")
