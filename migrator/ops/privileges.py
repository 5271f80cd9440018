"""Grants on a table, given to another one as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

    from migrator.partitioning import Relation

_GRANTS: LiteralString = """
SELECT NULL::text, a.grantee = 0, pg_catalog.pg_get_userbyid(a.grantee)::text, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_class c,
     LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
WHERE c.oid = pg_catalog.to_regclass(%(table)s)
UNION ALL
SELECT t.attname::text, a.grantee = 0, pg_catalog.pg_get_userbyid(a.grantee)::text, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_attribute t, LATERAL pg_catalog.aclexplode(t.attacl) a
WHERE t.attrelid = pg_catalog.to_regclass(%(table)s) AND t.attnum > 0 AND NOT t.attisdropped
"""


def copy_privileges(connection: psycopg.Connection[Any], source: Relation, target: Relation) -> None:
    """
    Give *target* exactly the grants of *source*, on the table and on its columns.

    What default privileges gave the new table is taken back first.  All grants come from the owner, whoever gave
    them on *source*.
    """
    wanted, given = _grants(connection, source), _grants(connection, target)
    if set(wanted) == set(given):
        return
    for is_public, role in {(row[1], row[2]) for row in given}:
        connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(target.identifier, _grantee(is_public, role)))
    for column, is_public, role, privilege, is_grantable in wanted:
        columns = sql.SQL("") if column is None else sql.SQL(" ({})").format(sql.Identifier(column))
        connection.execute(
            sql.SQL("GRANT {}{} ON {} TO {}{}").format(
                sql.SQL(privilege),
                columns,
                target.identifier,
                _grantee(is_public, role),
                sql.SQL(" WITH GRANT OPTION" if is_grantable else ""),
            )
        )


def _grants(connection: psycopg.Connection[Any], table: Relation) -> list[Any]:
    return connection.execute(_GRANTS, {"table": table.quoted}).fetchall()


def _grantee(is_public: bool, role: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if is_public else sql.Identifier(role)
