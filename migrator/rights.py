"""Whether a role may change the schema, and which tables: one that may not waits for somebody who may."""

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
_FOREIGN_OWNERS = r"""
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_get_userbyid(c.relowner)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
  AND n.nspname NOT IN ('information_schema', 'migrator') AND n.nspname NOT LIKE 'pg\_%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""


def foreign_owners(connection: psycopg.Connection) -> dict[str, str]:
    """Return the tables, with their owners, that the role behind *connection* may not alter."""
    return dict(connection.execute(_FOREIGN_OWNERS).fetchall())


def may_migrate(connection: psycopg.Connection, environment: Environment) -> bool:
    """
    Tell whether the role behind *connection* may run revisions.

    It needs CREATE on the schema and, as owner or member of the owning role, the version table and the schema
    `migrator`; where those are not there yet, CREATE on the database.
    """
    row = connection.execute(_MAY_MIGRATE, {"version_table": environment.version_table}).fetchone()
    return row is not None and bool(row[0])
