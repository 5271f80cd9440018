"""
The statement that reads a database's catalog as rows of kind, name and properties, the same on PostgreSQL 15 to 18.

It runs with an empty search_path, so that PostgreSQL itself qualifies all names. Left out, and why: owners and
privileges (roles differ between installations), what belongs to an extension, partitions and their indexes (they come
and go with time, and their parent's properties bind them; what is wrong with one is named: it is less durable than its
parent, half detached, or has an INVALID index), NOT NULL as a constraint (catalogued from 18 on only; the column says
it), the `pg_attver` that PostgreSQL itself counts up among a column's options (minor releases of November 2026 on; its
own pg_dump leaves it out too), sizes, tablespaces and statistics.
"""

from typing import Final, LiteralString

_OBJECTS: Final[LiteralString] = r"""
WITH schema AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname <> 'migrator' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%%'
), extended AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relation AS (
    SELECT c.*, format('%%I.%%I', s.nspname, c.relname) AS name
    FROM pg_class c JOIN schema s ON s.oid = c.relnamespace
    WHERE NOT c.relispartition AND NOT c.relname = ANY(%(version_tables)s::text[])
      AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
), columned AS (
    SELECT * FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
)
"""

_TABLES: Final[LiteralString] = """
SELECT 'table' AS kind, t.name AS name, jsonb_build_object(
    'is', CASE t.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END,
    'columns', (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'persistence', CASE t.relpersistence WHEN 'u' THEN 'unlogged' END,
    'partitioned by', CASE t.relkind WHEN 'p' THEN pg_get_partkeydef(t.oid) END,
    'default partition', (SELECT true FROM pg_partitioned_table p WHERE p.partrelid = t.oid AND p.partdefid <> 0),
    'unlogged partitions', (SELECT jsonb_agg(c.relname ORDER BY c.relname)
                            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                            WHERE i.inhparent = t.oid AND t.relkind = 'p' AND c.relpersistence <> 'p'),
    'invalid indexes of partitions', (
        SELECT jsonb_agg(x.indexrelid::regclass::text ORDER BY x.indexrelid::regclass::text)
        FROM pg_inherits i JOIN pg_index x ON x.indrelid = i.inhrelid AND NOT x.indisvalid
        WHERE i.inhparent = t.oid AND t.relkind = 'p'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index b WHERE b.index_relid = x.indexrelid)),
    'partitions being detached', (SELECT jsonb_agg(c.relname ORDER BY c.relname)
                                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                                  WHERE i.inhparent = t.oid AND i.inhdetachpending),
    'inherits', (SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i
                 WHERE i.inhrelid = t.oid),
    'row security', CASE WHEN t.relrowsecurity THEN CASE WHEN t.relforcerowsecurity THEN 'forced' ELSE 'on' END END,
    'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(t.reloptions) o),
    'replica identity', CASE WHEN t.relreplident NOT IN ('d', 'n') OR t.relkind IN ('r', 'p') AND t.relreplident = 'n'
        THEN t.relreplident END,
    'access method', (SELECT m.amname FROM pg_am m WHERE m.oid = t.relam AND m.amname <> 'heap'),
    'definition', CASE WHEN t.relkind IN ('v', 'm') THEN pg_get_viewdef(t.oid) END,
    'comment', obj_description(t.oid, 'pg_class')) AS properties
FROM columned t
"""

_COLUMNS: Final[LiteralString] = """
SELECT 'column', format('%%s.%%I', t.name, a.attname), jsonb_build_object(
    'type', format_type(a.atttypid, a.atttypmod),
    'not null', CASE WHEN a.attnotnull AND NOT EXISTS (
        SELECT FROM pg_constraint n WHERE n.conrelid = t.oid AND n.contype = 'n' AND NOT n.convalidated
        AND a.attnum = ANY(n.conkey)) THEN true END,
    'default', CASE a.attgenerated WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) END,
    'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid)
        || CASE a.attgenerated WHEN 's' THEN ' stored' ELSE ' virtual' END END,
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
    'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END,
    'storage', CASE WHEN a.attstorage <> y.typstorage THEN a.attstorage END,
    'compression', nullif(a.attcompression::text, ''),
    'statistics target', nullif(coalesce(a.attstattarget::int, -1), -1),
    'options', (SELECT jsonb_agg(o.setting ORDER BY o.setting) FROM unnest(a.attoptions) AS o(setting)
                WHERE NOT starts_with(o.setting, 'pg_attver=')),
    'comment', col_description(t.oid, a.attnum))
FROM columned t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
"""

_INDEXES_AND_CONSTRAINTS: Final[LiteralString] = """
SELECT 'index', format('%%s.%%I', t.name, c.relname), jsonb_build_object(
    'definition', pg_get_indexdef(x.indexrelid),
    'invalid', nullif(NOT x.indisvalid, false),
    'replica identity', nullif(x.indisreplident, false),
    'clustered', nullif(x.indisclustered, false),
    'comment', obj_description(c.oid, 'pg_class'))
FROM columned t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class c ON c.oid = x.indexrelid
UNION ALL
SELECT 'constraint', format('%%s.%%I', t.name, k.conname), jsonb_build_object(
    'definition', pg_get_constraintdef(k.oid),
    'comment', obj_description(k.oid, 'pg_constraint'))
FROM columned t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype NOT IN ('n', 't') AND k.conparentid = 0
"""

_ATTACHED: Final[LiteralString] = """
SELECT 'trigger', format('%%s.%%I', t.name, g.tgname), jsonb_build_object(
    'definition', pg_get_triggerdef(g.oid),
    'enabled', CASE g.tgenabled WHEN 'O' THEN NULL ELSE g.tgenabled::text END)
FROM columned t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0
UNION ALL
SELECT 'rule', format('%%s.%%I', t.name, r.rulename), jsonb_build_object('definition', pg_get_ruledef(r.oid))
FROM columned t JOIN pg_rewrite r ON r.ev_class = t.oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', format('%%s.%%I', t.name, p.polname), jsonb_build_object(
    'command', p.polcmd, 'permissive', p.polpermissive, 'using', pg_get_expr(p.polqual, p.polrelid),
    'with check', pg_get_expr(p.polwithcheck, p.polrelid))
FROM columned t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT 'statistics', format('%%I.%%I', s.nspname, e.stxname),
    jsonb_build_object('definition', pg_get_statisticsobjdef(e.oid))
FROM pg_statistic_ext e JOIN schema s ON s.oid = e.stxnamespace JOIN columned t ON t.oid = e.stxrelid
"""

_LOOSE: Final[LiteralString] = """
SELECT 'sequence', t.name, jsonb_build_object(
    'type', format_type(q.seqtypid, NULL), 'start', q.seqstart, 'increment', q.seqincrement, 'minimum', q.seqmin,
    'maximum', q.seqmax, 'cycle', nullif(q.seqcycle, false), 'comment', obj_description(t.oid, 'pg_class'))
FROM relation t JOIN pg_sequence q ON q.seqrelid = t.oid
UNION ALL
SELECT 'type', format('%%I.%%I', s.nspname, y.typname), jsonb_build_object(
    'labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = y.oid),
    'domain of', CASE y.typtype WHEN 'd' THEN format_type(y.typbasetype, y.typtypmod) END,
    'default', y.typdefault, 'not null', nullif(y.typnotnull, false),
    'checks', (SELECT jsonb_object_agg(k.conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k
               WHERE k.contypid = y.oid AND k.contype <> 'n'),
    'range of', (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = y.oid),
    'comment', obj_description(y.oid, 'pg_type'))
FROM pg_type y JOIN schema s ON s.oid = y.typnamespace
WHERE y.typtype IN ('d', 'e', 'r')
  AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_type'::regclass AND e.objid = y.oid)
UNION ALL
SELECT 'function', format('%%I.%%I(%%s)', s.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
    jsonb_build_object(
    'definition', CASE WHEN f.prokind <> 'a' THEN pg_get_functiondef(f.oid) ELSE 'aggregate' END,
    'comment', obj_description(f.oid, 'pg_proc'))
FROM pg_proc f JOIN schema s ON s.oid = f.pronamespace
WHERE NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_proc'::regclass AND e.objid = f.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid
                  AND d.deptype = 'i')
"""

#: Takes `version_tables`, the names to leave out; to be run with an empty search_path.
CATALOG: Final[LiteralString] = (
    f"{_OBJECTS} SELECT kind, name, jsonb_strip_nulls(properties) FROM ({_TABLES} UNION ALL {_COLUMNS} UNION ALL "  # noqa: S608 - constants
    f"{_INDEXES_AND_CONSTRAINTS} UNION ALL {_ATTACHED} UNION ALL {_LOOSE}) AS everything"
)
