"""What must not hang on a table that is to be replaced by another of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    import psycopg

    from migrator.partitioning import Relation

# Whatever depends on the table by its oid would go on looking at the legacy partition alone.
_OBSTACLES: LiteralString = """
WITH target AS (
    SELECT c.oid, c.relkind, c.relpersistence, c.relrowsecurity, t.oid AS row_type, t.typarray AS array_type
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_type t ON t.oid = c.reltype
    WHERE c.oid = pg_catalog.to_regclass(%(table)s)
)
SELECT DISTINCT found.what
FROM target, LATERAL (
    SELECT CASE WHEN r.oid IS NULL THEN pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
                ELSE pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0) END
    FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_rewrite r
           ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'
    LEFT JOIN pg_catalog.pg_constraint k
           ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
    WHERE d.deptype = 'n' AND (k.oid IS NULL OR k.conrelid <> target.oid)
      AND (d.refclassid, d.refobjid) IN (('pg_catalog.pg_class'::regclass, target.oid),
                                         ('pg_catalog.pg_type'::regclass, target.row_type),
                                         ('pg_catalog.pg_type'::regclass, target.array_type))
    UNION ALL
    SELECT pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::regclass, k.oid, 0)
    FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = target.oid AND k.contype IN ('f', 'u', 'x') OR k.confrelid = target.oid
    UNION ALL
    SELECT pg_catalog.pg_describe_object('pg_catalog.pg_rewrite'::regclass, r.oid, 0)
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = target.oid
    UNION ALL
    SELECT pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::regclass, t.oid, 0)
    FROM pg_catalog.pg_trigger t WHERE t.tgrelid = target.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT pg_catalog.pg_describe_object('pg_catalog.pg_policy'::regclass, p.oid, 0)
    FROM pg_catalog.pg_policy p WHERE p.polrelid = target.oid
    UNION ALL
    SELECT 'publication ' || p.pubname
    FROM pg_catalog.pg_publication_tables p WHERE p.schemaname = %(schema)s AND p.tablename = %(name)s
    UNION ALL
    SELECT 'unique index ' || x.indexrelid::regclass
    FROM pg_catalog.pg_index x
    WHERE x.indrelid = target.oid AND x.indisunique AND NOT x.indisprimary
      AND x.indexrelid IS DISTINCT FROM pg_catalog.to_regclass(%(own_index)s)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = x.indexrelid)
    UNION ALL
    SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, s.oid, 0)
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
      AND d.refobjid = target.oid AND d.deptype IN ('a', 'i')
    UNION ALL
    SELECT 'inheritance from ' || i.inhparent::regclass
    FROM pg_catalog.pg_inherits i WHERE i.inhrelid = target.oid
    UNION ALL
    SELECT 'row level security' WHERE target.relrowsecurity
    UNION ALL
    SELECT 'being unlogged' WHERE target.relpersistence <> 'p'
) AS found(what)
ORDER BY 1
"""


def read_obstacles(
    connection: psycopg.Connection[Any], table: Relation, *, own_index: Relation | None = None
) -> list[str]:
    """
    Return what stands against giving *table*'s name to another table, each described as PostgreSQL does.

    Views, functions, foreign keys, rules, triggers, policies, publications, sequences, inheritance, and unique
    constraints other than the primary key and *own_index*.
    """
    parameters = {
        "table": table.quoted,
        "schema": table.schema,
        "name": table.name,
        "own_index": own_index.quoted if own_index else None,
    }
    return [row[0] for row in connection.execute(_OBSTACLES, parameters).fetchall()]
