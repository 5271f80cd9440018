"""The indexes that the models ask for, those that a database has, and the commands that lead from these to those."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import psycopg
from sqlalchemy import Dialect, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.schema import AddConstraint, CreateIndex, ExecutableDDLElement

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # left unannotated by SQLAlchemy
_LEFTOVER = re.compile(r"_cc(new|old)\d*$")
"""What REINDEX CONCURRENTLY leaves behind when it is interrupted.  Source: PostgreSQL 18, REINDEX."""

# Each index of the tables and of their partitions; building: who builds it is at work right now.
_INDEXES = """
SELECT c.relname, t.relname, i.indisvalid, i.indisunique, c.relkind = 'I', above.relname,
       pg_catalog.pg_get_indexdef(i.indexrelid),
       EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_catalog.pg_inherits inherited ON inherited.inhrelid = c.oid
LEFT JOIN pg_catalog.pg_class above ON above.oid = inherited.inhparent
LEFT JOIN pg_catalog.pg_inherits partition ON partition.inhrelid = t.oid
LEFT JOIN pg_catalog.pg_class parent ON parent.oid = partition.inhparent
WHERE t.relnamespace = 'public'::regnamespace AND coalesce(parent.relname, t.relname) = ANY(%s)
ORDER BY t.relname, c.relname
"""
_PARTITIONS_WITHOUT = """
SELECT child.relname FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid
WHERE i.inhparent = pg_catalog.to_regclass('public.' || pg_catalog.quote_ident(%(table)s)) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_inherits up ON up.inhrelid = x.indexrelid
    WHERE x.indrelid = child.oid
      AND up.inhparent = pg_catalog.to_regclass('public.' || pg_catalog.quote_ident(%(index)s)))
ORDER BY child.relname
"""


@dataclass(frozen=True, slots=True)
class ExpectedIndex:
    """An index of the models, or one behind a constraint of theirs."""

    name: str
    table: str
    is_unique: bool
    create: str
    """The statement that makes it, and stops writers only where nothing else is possible."""


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index as the catalog has it."""

    name: str
    table: str
    is_valid: bool
    is_unique: bool
    is_partitioned: bool
    above: str | None
    """The index of the partitioned table that it is attached to."""
    definition: str
    is_being_built: bool


@cache
def expected_indexes(metadata: MetaData) -> tuple[ExpectedIndex, ...]:
    """Every index that the models of *metadata* ask for, by table and name."""
    return tuple(sorted(_expected(metadata), key=lambda index: (index.table, index.name)))


def _expected(metadata: MetaData) -> Iterator[ExpectedIndex]:
    for table in metadata.tables.values():
        for index in table.indexes:
            yield ExpectedIndex(str(index.name), table.name, bool(index.unique), _create_index(index, table))
        for constraint in table.constraints:
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
                name = str(_DIALECT.identifier_preparer.format_constraint(constraint))
                create = _create_constraint(constraint, name, table)
                yield ExpectedIndex(name, table.name, is_unique=True, create=create)


def _create_index(index: Index, table: Table) -> str:
    statement = _rendered(CreateIndex(index))
    return statement if _is_partitioned(table) else statement.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)


def _create_constraint(constraint: PrimaryKeyConstraint | UniqueConstraint, name: str, table: Table) -> str:
    if _is_partitioned(table):
        # Isolated, it would take the constraint out of the model's own CREATE TABLE for the rest of the process.
        return _rendered(AddConstraint(constraint, isolate_from_table=False))
    columns = ", ".join(_quoted(column.name) for column in constraint.columns)
    kind = "PRIMARY KEY" if isinstance(constraint, PrimaryKeyConstraint) else "UNIQUE"
    return (
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {_public(table.name)} ({columns}); "
        f"ALTER TABLE {_public(table.name)} ADD CONSTRAINT {name} {kind} USING INDEX {name};"
    )


def _is_partitioned(table: Table) -> bool:
    """Whether PostgreSQL refuses CONCURRENTLY and USING INDEX for the table."""
    return bool(table.dialect_options["postgresql"]["partition_by"])


def _rendered(element: ExecutableDDLElement) -> str:
    statement = element.compile(dialect=_DIALECT, schema_translate_map={None: "public"}, render_schema_translate=True)
    return " ".join(str(statement).split()) + ";"


def found_indexes(connection: psycopg.Connection, metadata: MetaData) -> list[FoundIndex]:
    """Every index on the tables of *metadata* and on their partitions."""
    rows = connection.execute(_INDEXES, (list(metadata.tables),)).fetchall()
    return [FoundIndex(*row) for row in rows]


def repairs(connection: psycopg.Connection, index: FoundIndex) -> list[str]:
    """The statements that make an INVALID index whole, none of which stops writers."""
    if index.is_partitioned:
        return [statement for child in _partitions_without(connection, index) for statement in _build(index, child)]
    if _LEFTOVER.search(index.name):
        return [f"DROP INDEX CONCURRENTLY {_public(index.name)};"]
    # Attached already, it is looked at once more: only that makes the index above it valid.
    attach = [f"ALTER INDEX {_public(index.above)} ATTACH PARTITION {_public(index.name)};"] if index.above else []
    return [f"REINDEX INDEX CONCURRENTLY {_public(index.name)};", *attach]


def _partitions_without(connection: psycopg.Connection, index: FoundIndex) -> list[str]:
    names = {"table": index.table, "index": index.name}
    return [name for (name,) in connection.execute(_PARTITIONS_WITHOUT, names)]


def _build(index: FoundIndex, child: str) -> Iterator[str]:
    # "CREATE INDEX name ON ONLY public.parent USING btree (...)": what follows USING holds for a partition too.
    method = index.definition.partition(" USING ")[2]
    unique = " UNIQUE" if index.is_unique else ""
    name = f"{child}_{index.name}"[:63]
    yield f"CREATE{unique} INDEX CONCURRENTLY {_quoted(name)} ON {_public(child)} USING {method};"
    yield f"ALTER INDEX {_public(index.name)} ATTACH PARTITION {_public(name)};"


def _public(name: str) -> str:
    return f"public.{_quoted(name)}"


def _quoted(name: str) -> str:
    return str(_DIALECT.identifier_preparer.quote(name))
