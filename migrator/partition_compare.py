"""
What autogenerate has to know of partitions, and does not: which tables are some, and what became of their parents.

Loaded by `run_env` as an Alembic plugin. Without it two partitions are two unknown tables, to be dropped with their
rows, while a partitioned table that became a plain one is no difference at all.

Models may name partitions that have to be there in a table's `info`: `info={"partitions": {"orders_rest": "DEFAULT"}}`,
name and bound as PostgreSQL writes it. Others come and go; only a DEFAULT partition that is not named is one too many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.operations.ops import DropTableOp, ModifyTableOps, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from migrator.partition_changes import PartitionChangeOp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.autogenerate.api import AutogenContext
    from sqlalchemy import MetaData, Table

PLUGIN = "migrator.partitions"
DEFAULT_BOUND = "DEFAULT"

_PARTITIONS = text("""
SELECT n.nspname, c.relname, pn.nspname, p.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE NOT i.inhdetachpending
""")
_TABLES = text("""
SELECT n.nspname, c.relname, pg_catalog.pg_get_partkeydef(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
""")

Name = tuple[str, str]
"""Schema and name."""


def reflected_names(metadata: MetaData, own_schema: str) -> Callable[[str | None, str, Any], bool]:
    """
    Return an `include_name` that leaves out *own_schema* and partitions, which come and go with time.

    A partition is told by pg_inherits. One that *metadata* describes as a table of its own is compared as such.
    """
    partitions: set[Name] | None = None

    def include_name(name: str | None, type_: str, parents: Any) -> bool:
        nonlocal partitions
        if type_ == "schema":
            return name != own_schema
        connection = _migration_connection()
        if type_ != "table" or connection is None:
            return True
        default = connection.dialect.default_schema_name or ""
        if partitions is None:
            described = {(table.schema or default, table.name) for table in metadata.tables.values()}
            found: set[Name] = {(row[0], row[1]) for row in connection.execute(_PARTITIONS)}
            partitions = found - described
        return (parents.get("schema_name") or default, name) not in partitions

    return include_name


def _migration_connection() -> Connection | None:
    from alembic import context  # noqa: PLC0415 - there is a context only while a command runs

    return context.get_context().connection


def setup(plugin: Plugin) -> None:
    """Register the comparison, to run when the tables have been compared; called by Alembic's plugin loader."""
    plugin.add_autogenerate_comparator(
        _compare, "schema", "migrator_partitions", qualifier="postgresql", priority=DispatchPriority.LAST
    )


def _compare(ctx: AutogenContext, upgrade_ops: UpgradeOps, schemas: set[str | None]) -> PriorityDispatchResult:
    connection = ctx.connection
    if connection is None:
        return PriorityDispatchResult.CONTINUE
    default = connection.dialect.default_schema_name or ""
    keys: dict[Name, str | None] = {(row[0], row[1]): row[2] for row in connection.execute(_TABLES)}
    bounds: dict[Name, dict[Name, str]] = {}
    for schema, name, parent_schema, parent, bound in connection.execute(_PARTITIONS):
        bounds.setdefault((parent_schema, parent), {})[schema, name] = bound
    partitioned: list[Table] = []
    attached: set[Name] = set()
    for table in ctx.sorted_tables:
        name = (table.schema or default, table.name)
        if name not in keys or not {table.schema, None if name[0] == default else name[0]} & schemas:
            continue
        wanted = table.dialect_options["postgresql"]["partition_by"]
        changes = [*_key_changes(connection, name, wanted, keys[name])]
        if wanted and not changes:
            named = _named(name[0], table.info.get("partitions") or {})
            changes = [*_partition_changes(name, named, bounds.get(name, {}), keys)]
            attached |= named.keys()
        upgrade_ops.ops.extend(changes)
        if wanted:
            partitioned.append(table)
    _keep_detached(upgrade_ops, partitioned, attached, default)
    return PriorityDispatchResult.CONTINUE


def _key_changes(
    connection: Connection, name: Name, wanted: str | None, found: str | None
) -> Iterator[PartitionChangeOp]:
    shown = ".".join(name)
    if wanted and found is None:
        yield PartitionChangeOp(
            f"{shown} is a plain table, but the models partition it by {wanted}; convert it with op.attach_as_partition"
        )
    elif found is not None and not wanted:
        yield PartitionChangeOp(
            f"{shown} is partitioned by {found}, but the models describe a plain table; merge it with "
            "op.merge_partitions, or give the model its postgresql_partition_by"
        )
    elif wanted and found is not None and _squeezed(wanted) != _squeezed(found):
        written = _as_the_server_writes(connection, name, wanted)
        if written != found:
            yield PartitionChangeOp(
                f"{shown} is partitioned by {found}, but the models partition it by {written or wanted}; a key cannot "
                "be changed: make another table and move the rows"
            )


def _named(parent_schema: str, partitions: dict[str, str]) -> dict[Name, str]:
    """Return the partitions that the models name, those without a schema in their parent's."""
    parts = {name: name.rpartition(".") for name in partitions}
    return {(schema or parent_schema, table): partitions[name] for name, (schema, _, table) in parts.items()}


def _partition_changes(
    parent: Name, wanted: dict[Name, str], found: dict[Name, str], tables: dict[Name, str | None]
) -> Iterator[PartitionChangeOp]:
    shown = ".".join(parent)
    for name, bound in wanted.items():
        child = ".".join(name)
        if name not in found and name in tables:
            yield PartitionChangeOp.attach(f"{child} is no partition of {shown} any more", parent, name, bound)
        elif name not in found:
            yield PartitionChangeOp.create(f"{shown} has no partition {child}", parent, name, bound)
        elif _squeezed(found[name]) != _squeezed(bound):
            yield PartitionChangeOp(
                f"{child} is the partition of {shown} {found[name]}, but the models want it {bound}; detach it, move "
                "its rows and attach it again"
            )
    for name, bound in found.items():
        if bound == DEFAULT_BOUND and name not in wanted:
            yield PartitionChangeOp(
                f"{shown} has the DEFAULT partition {'.'.join(name)}, which the models do not name; move its rows and "
                "drop it, or name it in the table's info"
            )


def _keep_detached(upgrade_ops: UpgradeOps, partitioned: list[Table], attached: set[Name], default: str) -> None:
    """
    Put a question in the place of DROP TABLE for each table that looks like a partition that was detached.

    There is none about those in *attached*, which another operation attaches.
    """
    columns = {frozenset(table.columns.keys()): table for table in partitioned}
    for operation in [*upgrade_ops.ops]:
        if not isinstance(operation, DropTableOp):
            continue
        dropped = operation.to_table()
        parent = columns.get(frozenset(dropped.columns.keys()))
        if parent is None:
            continue
        belongs = [
            one for one in upgrade_ops.ops
            if one is operation or (
                isinstance(one, ModifyTableOps)
                and (one.table_name, one.schema) == (operation.table_name, operation.schema)
            )
        ]  # fmt: skip
        upgrade_ops.ops[:] = [one for one in upgrade_ops.ops if one not in belongs]
        if (operation.schema or default, operation.table_name) in attached:
            continue
        name = f"{operation.schema or default}.{operation.table_name}"
        upgrade_ops.ops.append(
            PartitionChangeOp(
                f"{name} has the columns of {parent.name}, but is no partition of it: it may have been detached, and "
                "is not dropped unasked; attach it again, or drop it by hand once its rows are kept elsewhere"
            )
        )


def _squeezed(definition: str) -> str:
    """Leave out what PostgreSQL may write otherwise; text in quotes may be squeezed, because both sides are."""
    return "".join(definition.split()).lower()


def _as_the_server_writes(connection: Connection, name: Name, key: str) -> str | None:
    """Return the partition key in the server's own words; None: it does not understand it, or is read-only."""
    quote = connection.dialect.identifier_preparer.quote
    table = ".".join(map(quote, name))
    try:
        with connection.begin_nested() as savepoint:
            connection.exec_driver_sql(
                f"CREATE TEMPORARY TABLE migrator_partition_key (LIKE {table}) PARTITION BY {key}"
            )
            written: str | None = connection.exec_driver_sql(
                "SELECT pg_catalog.pg_get_partkeydef('pg_temp.migrator_partition_key'::pg_catalog.regclass)"
            ).scalar()
            savepoint.rollback()
    except DBAPIError:
        return None
    return written


setup(Plugin(PLUGIN))
