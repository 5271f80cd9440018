"""Rows for a database whose tables nobody described: made up from the catalog, by the server, as many as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from migrator.authoring.seed_values import value_of
from migrator.classifier import sentence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_TABLES = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name,
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', a.attname, 'number', a.attnum, 'type', pg_catalog.format_type(b.oid, NULL),
        'length', CASE WHEN a.atttypmod > 4 AND b.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END,
        'kind', b.typtype, 'category', b.typcategory, 'required', a.attnotnull, 'default', a.atthasdef,
        'written', a.attgenerated = '' AND a.attidentity = '') ORDER BY a.attnum), '[]')
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
     JOIN pg_catalog.pg_type b ON b.oid = CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'kind', k.contype, 'columns', k.conkey, 'parent', k.confrelid::bigint, 'parent columns', k.confkey,
        'definition', pg_catalog.pg_get_constraintdef(k.oid))), '[]')
     FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f')) AS constraints
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'migrator'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%' AND NOT c.relname = ANY(%s)
ORDER BY 2, 3
"""


@dataclass(frozen=True)
class Seeded:
    """
    What became of one table.

    Args:
        table: Its name, qualified.
        rows: How many rows were put into it.
        reason: Why there are none; None: there are.
    """

    table: str
    rows: int
    reason: str | None = None


@dataclass(frozen=True)
class SeedTable:
    """A table as the catalog shows it; `oid`, qualified name, columns and constraints as `_TABLES` makes them."""

    oid: int
    schema: str
    name: str
    columns: list[dict[str, Any]]
    constraints: list[dict[str, Any]]

    def __str__(self) -> str:
        """Name it, qualified."""
        return f"{self.schema}.{self.name}"

    @property
    def parents(self) -> set[int]:
        """The tables that its foreign keys name, itself left out."""
        return {key["parent"] for key in self.constraints if key["kind"] == "f"} - {self.oid}

    def column(self, number: int) -> dict[str, Any]:
        """Return the column of that number."""
        return next(column for column in self.columns if column["number"] == number)


def read_tables(connection: psycopg.Connection[Any], version_tables: Collection[str]) -> list[SeedTable]:
    """Return the tables of the database, each after those that its foreign keys name; version tables left out."""
    rows = connection.execute(_TABLES, (list(version_tables),)).fetchall()
    left = [SeedTable(*row) for row in rows]
    ordered: list[SeedTable] = []
    while left:
        done = {table.oid for table in ordered}
        known = {table.oid for table in left}
        ready = [table for table in left if not (table.parents & known - done)] or left[:1]
        ordered += ready
        left = [table for table in left if table not in ready]
    return ordered


def seed(
    connection: psycopg.Connection[Any],
    tables: Iterable[SeedTable],
    rows: int,
    *,
    only: Collection[str] | None = None,
    few: int = 1000,
) -> list[Seeded]:
    """
    Put *rows* rows into each table, *few* into those that are not among *only*; return what became of each.

    The connection is in autocommit mode. What a CHECK asks for is met as far as it can be told from the catalog.
    """
    tables = list(tables)
    by_oid = {table.oid: table for table in tables}
    found: list[Seeded] = []
    for table in tables:
        count = rows if only is None or str(table) in only else min(rows, few)
        reason = None
        for frugal in (False, True):
            try:
                connection.execute(insertion(table, by_oid, few=min(rows, few), frugal=frugal), (1, count))
                reason = None
                break
            except psycopg.Error as error:
                reason = sentence(error)
            except LookupError as error:
                reason = str(error)
                break
        found.append(Seeded(str(table), 0 if reason else count, reason))
    return found


def insertion(table: SeedTable, by_oid: dict[int, SeedTable], *, few: int, frugal: bool = False) -> sql.Composed:
    """
    Return the statement that adds rows, with two parameters: the numbers of the first and the last.

    Args:
        table: Where to.
        by_oid: All tables.
        few: Rows of parents that children may point to.
        frugal: Only what must be given.

    Raises:
        LookupError: A column must be given, and nothing is known to put into it.
    """
    chosen = dict(_values(table, by_oid, few, frugal=frugal))
    target = sql.Identifier(table.schema, table.name)
    if not chosen:
        return sql.SQL("INSERT INTO {} SELECT FROM generate_series(%s::bigint, %s::bigint) AS g").format(target)
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(%s::bigint, %s::bigint) AS g").format(
        target, sql.SQL(", ").join(map(sql.Identifier, chosen)), sql.SQL(", ").join(chosen.values())
    )


def _values(
    table: SeedTable, by_oid: dict[int, SeedTable], few: int, *, frugal: bool
) -> Iterator[tuple[str, sql.Composable]]:
    referenced = {
        number
        for other in by_oid.values()
        for key in other.constraints
        if key["kind"] == "f" and key["parent"] == table.oid
        for number in key["parent columns"]
    }
    for column in table.columns:
        is_key = column["number"] in referenced
        if not column["written"] or (column["default"] and not is_key) or (frugal and not column["required"]):
            continue
        value = _value(table, column, by_oid, few)
        if value is not None:
            yield column["name"], value
        elif column["required"] and not column["default"]:
            raise LookupError(f"nothing is known to put into {table}.{column['name']}, {column['type']}")


def _value(table: SeedTable, column: dict[str, Any], by_oid: dict[int, SeedTable], few: int) -> sql.Composable | None:
    for key in table.constraints:
        if key["kind"] != "f" or column["number"] not in key["columns"]:
            continue
        parent = by_oid.get(key["parent"])
        if parent is None or parent is table:
            return None
        number = key["parent columns"][key["columns"].index(column["number"])]
        # The parent's own value for one of its first rows: computed, never looked up. Each key advances at a pace of
        # its own, so that pairs of them do not repeat.
        place = [one for one in table.constraints if one["kind"] == "f"].index(key)
        row = sql.SQL("(1 + (g / {}) %% {})").format(sql.Literal(max(few, 1) ** place), sql.Literal(max(few, 1)))
        return value_of(parent.column(number), [], row)
    checks = [
        check["definition"] for check in table.constraints
        if check["kind"] == "c" and column["number"] in (check["columns"] or [])
    ]  # fmt: skip
    return value_of(column, checks, sql.SQL("g"))
