"""Whether a role may change the schema at all; one that may not waits for somebody who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from migrator.environment import Environment

_MAY_MIGRATE = """
SELECT coalesce(pg_catalog.has_schema_privilege(pg_catalog.current_schema(), 'CREATE'), false)
   AND coalesce((SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c
                 WHERE c.relname = %(version_table)s AND c.relkind = 'r'
                   AND pg_catalog.pg_table_is_visible(c.oid)), true)
   AND coalesce((SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace n
                 WHERE n.nspname = 'migrator'),
                pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'))
"""


def may_migrate(connection: psycopg.Connection, environment: Environment) -> bool:
    """
    Tell whether the role behind *connection* may run revisions.

    It needs CREATE on the schema and, as owner or member of the owning role, the version table and the schema
    `migrator`; where those are not there yet, CREATE on the database.
    """
    row = connection.execute(_MAY_MIGRATE, {"version_table": environment.version_table}).fetchone()
    return row is not None and bool(row[0])
