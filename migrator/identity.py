"""Whether two connections lead to one database: asked of the servers, because URLs can name one in many ways."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from migrator.lock import LockProof

if TYPE_CHECKING:
    import psycopg

_MAY_ASK = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
_IDENTITY = """
SELECT s.system_identifier, d.oid FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
"""


def same_database(first: psycopg.Connection, second: psycopg.Connection) -> bool:
    """
    Tell whether both connections lead to the same database; a replica counts as what it replicates.

    Goes by the system identifier and the database's oid. Where a role may not ask for the former, a lock of a random
    number taken on one connection and seen on the other tells, except for a replica.
    """
    if _may_ask(first) and _may_ask(second):
        return _identity(first) == _identity(second)
    key = secrets.randbits(62)
    with first.transaction():
        row = first.execute(
            "SELECT pg_catalog.pg_backend_pid() FROM pg_catalog.pg_advisory_xact_lock(%s)", (key,)
        ).fetchone()
        return row is not None and LockProof(key, row[0]).holds(second)


def _may_ask(connection: psycopg.Connection) -> bool:
    row = connection.execute(_MAY_ASK).fetchone()
    return row is not None and bool(row[0])


def _identity(connection: psycopg.Connection) -> tuple[object, ...] | None:
    return connection.execute(_IDENTITY).fetchone()
