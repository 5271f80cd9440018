"""Indexes that a broken build left behind: they cost on every write and serve no read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.errors import PermanentError

if TYPE_CHECKING:
    import psycopg

    from migrator.environment import Environment

# An index that somebody is building right now is invalid until it is done, and no fault.
_INVALID = """
SELECT x.indexrelid::pg_catalog.regclass::text, c.relkind = 'I'
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT x.indisvalid AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid)
ORDER BY 1
"""


def invalid_indexes(connection: psycopg.Connection) -> dict[str, str]:
    """Return the name of each INVALID index with the command, or the advice, that repairs it."""
    return {
        name: "attach a valid index of each partition" if is_partitioned else f"REINDEX INDEX CONCURRENTLY {name}"
        for name, is_partitioned in connection.execute(_INVALID).fetchall()
    }


def refuse_invalid_indexes(connection: psycopg.Connection, environment: Environment) -> None:
    """
    Return if no index is INVALID.

    Raises:
        PermanentError: Some are; the message says how to repair them.
    """
    found = invalid_indexes(connection)
    if found:
        repairs = "; ".join(f"{name} ({repair})" for name, repair in found.items())
        raise PermanentError(
            f"The {environment.name} database is at its head, but has INVALID indexes: {repairs}. Repair, then start."
        )
