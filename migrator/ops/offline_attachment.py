"""The conversion as plain SQL, for `--sql`: the same result in one transaction, with the table locked throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import sql

from migrator.ops.conversion_steps import ASIDE_COMMENT
from migrator.ops.parent_table import LIKE_OPTIONS

if TYPE_CHECKING:
    from migrator.ops.partition_plan import PartitionPlan

_NOTE: LiteralString = """
-- attach_as_partition({table}).  Run online, this is done step by step while clients go on reading and writing, and
-- may be killed at any point and run again.  The SQL below has the same result in one transaction, but keeps the
-- table locked until it commits.  Owner, grants, storage parameters, statistics targets and the comments of table and
-- indexes are taken over online only.
"""

# Every bound is computed when the script runs, by the server's clock, in UTC.
_BODY: LiteralString = """
DO $attach$
DECLARE
    cutoff timestamptz := pg_catalog.date_trunc('day', now() + interval '3 days' - interval '1 microsecond');
    first_day timestamptz := pg_catalog.date_trunc('day', now()) - interval '1 day';
    last_day timestamptz := pg_catalog.date_trunc('day', now()) + interval {days_ahead};
    has_rows boolean := EXISTS (SELECT FROM {table});
    partition_name text;
BEGIN
    IF has_rows AND EXISTS (SELECT FROM {table} WHERE {key} >= cutoff) THEN
        CREATE TABLE {aside} (LIKE {table}, CONSTRAINT {aside_key} PRIMARY KEY ({primary_key}));
        COMMENT ON TABLE {aside} IS {aside_comment};
        INSERT INTO {aside} SELECT * FROM {table} WHERE {key} >= cutoff;
        DELETE FROM {table} WHERE {key} >= cutoff;
    END IF;
    EXECUTE (SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
             FROM pg_catalog.pg_constraint k WHERE k.conrelid = {regclass}::regclass AND k.contype = 'p');
    ALTER TABLE {table} ADD CONSTRAINT {legacy_key} PRIMARY KEY ({primary_key});
    ALTER TABLE {table} RENAME TO {legacy_name};
{renames}
    CREATE TABLE {table} (LIKE {legacy} {like_options},
        CONSTRAINT {key_name} PRIMARY KEY ({primary_key})) PARTITION BY RANGE ({key});
{indexes}
    IF has_rows THEN
        EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)',
                                  {regclass}, {legacy_regclass}, cutoff);
        first_day := cutoff;
    ELSE
        DROP TABLE {legacy};
    END IF;
    WHILE first_day <= last_day LOOP
        partition_name := pg_catalog.format('%I.%I', {schema_text}, pg_catalog.to_char(first_day, {name_pattern}));
        EXECUTE pg_catalog.format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', partition_name, {regclass});
        EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                                  {regclass}, partition_name, first_day, first_day + interval '1 day');
        first_day := first_day + interval '1 day';
    END LOOP;
END
$attach$;
"""


def attachment_script(plan: PartitionPlan) -> str:
    """Return the SQL that makes the plain table of *plan* a partition, to be run in one transaction in UTC."""
    table = plan.table.identifier
    renames = [
        sql.SQL("    ALTER INDEX {} RENAME TO {};").format(
            plan.table.named(index.name).identifier, sql.Identifier(name)
        )
        for index, name in plan.indexes
    ]
    indexes = [sql.SQL("    {};").format(index.statement(plan.table)) for index, _ in plan.indexes]
    body = sql.SQL(_BODY).format(
        table=table,
        regclass=sql.Literal(plan.table.quoted),
        key=sql.Identifier(plan.key),
        primary_key=sql.SQL(", ").join(map(sql.Identifier, plan.primary_key)),
        key_name=sql.Identifier(plan.primary_key_name),
        aside=plan.aside.identifier,
        aside_comment=sql.Literal(ASIDE_COMMENT),
        aside_key=sql.Identifier(f"pk_{plan.aside.name}"),
        legacy=plan.legacy.identifier,
        legacy_name=sql.Identifier(plan.legacy.name),
        legacy_regclass=sql.Literal(plan.legacy.quoted),
        legacy_key=sql.Identifier(plan.legacy_key.name),
        like_options=sql.SQL(LIKE_OPTIONS),
        days_ahead=sql.Literal(f"{plan.days_ahead} days"),
        schema_text=sql.Literal(plan.table.schema),
        name_pattern=sql.Literal(_to_char_pattern(plan)),
        renames=sql.SQL("\n").join(renames),
        indexes=sql.SQL("\n").join(indexes),
    )
    return sql.SQL(_NOTE).format(table=sql.SQL(str(plan.table))).as_string() + body.as_string()


class _DayPattern:
    """Stands for the day in a name's format, and gives the pattern by which PostgreSQL's to_char writes it."""

    _CODES: Final = {"%Y": "YYYY", "%m": "MM", "%d": "DD"}

    def __format__(self, codes: str) -> str:
        for code, pattern in self._CODES.items():
            codes = codes.replace(code, f'"{pattern}"')
        if "%" in codes:
            raise ValueError(f"The day in a partition's name is written with %Y, %m and %d, not {codes!r}.")
        return codes


def _to_char_pattern(plan: PartitionPlan) -> str:
    return '"' + plan.name_format.format(table=plan.table.name, day=_DayPattern()) + '"'
