"""What autogenerate found, made into revisions of the house: qualified, consenting, each index apart."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import renderers
from alembic.operations import MigrateOperation, ops
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.sql import coercions, roles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.runtime.migration import MigrationContext

# Importing it makes its operations members of alembic.op.
_IMPORT = "from migrator import ops  # noqa: F401 - registers op.create_index_concurrently and its like"
# Column names without their table, and values written out.
_PLAIN: dict[str, Any] = {"include_table": False, "literal_binds": True}
_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(:name)"
# What code that knows nothing of it can live with.
_HARMLESS = (ops.CreateTableOp, ops.CreateIndexOp, ops.CreateTableCommentOp, ops.DropTableCommentOp)


class ConsentOp(MigrateOperation):
    """Stands in a downgrade for the question whether *what* may be lost."""

    def __init__(self, what: str) -> None:
        self.what = what


class ConcurrentIndexOp(MigrateOperation):
    """Stands for an index that is built without stopping writers, on a *partitioned* table or a plain one."""

    def __init__(self, index: ops.CreateIndexOp, *, partitioned: bool) -> None:
        self.index = index
        self.partitioned = partitioned


class ConcurrentDropOp(MigrateOperation):
    """Stands for an index that is dropped without stopping writers."""

    def __init__(self, index: ops.CreateIndexOp) -> None:
        self.index = index


@renderers.dispatch_for(ConsentOp)
def _render_consent(context: AutogenContext, operation: ConsentOp) -> str:
    context.imports.add("from migrator import ops")
    return f"ops.require_consent_to_lose({operation.what!r})"


@renderers.dispatch_for(ConcurrentDropOp)
def _render_drop(context: AutogenContext, operation: ConcurrentDropOp) -> str:
    context.imports.add(_IMPORT)
    words = [repr(operation.index.index_name), repr(operation.index.table_name)]
    if operation.index.schema:
        words.append(f"schema={operation.index.schema!r}")
    return f"op.drop_index_concurrently({', '.join(words)})"


@renderers.dispatch_for(ConcurrentIndexOp)
def _render_index(context: AutogenContext, operation: ConcurrentIndexOp) -> str:
    context.imports.add(_IMPORT)
    index = operation.index.to_index()
    compiler = context.migration_context.dialect.statement_compiler(context.migration_context.dialect, None)
    columns = []
    for expression in index.expressions:
        name = getattr(expression, "name", None)
        written = compiler.process(coercions.expect(roles.DDLExpressionRole, expression), **_PLAIN)
        columns.append(repr(name) if isinstance(name, str) and name == written else f"sa.text({written!r})")
    options = index.dialect_options["postgresql"]
    words = [repr(index.name), repr(operation.index.table_name), f"[{', '.join(columns)}]"]
    if index.unique:
        words.append("unique=True")
    if options["where"] is not None:
        words.append(f"where={compiler.process(options['where'], **_PLAIN)!r}")
    if operation.index.schema:
        words.append(f"schema={operation.index.schema!r}")
    if operation.partitioned:
        words.append("partitioned=True")
    return f"op.create_index_concurrently({', '.join(words)})"


@dataclass
class Draft:
    """
    What is to become one revision's file.

    Args:
        revision: Its id.
        loses: What its downgrade loses, in words; empty: nothing.
        is_additive: Code that does not know of it works on it.
    """

    revision: str
    loses: list[str] = field(default_factory=list)
    is_additive: bool = True


class Drafter:
    """Alembic's `process_revision_directives` callback; `drafts` is what it made, in order."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def __call__(self, context: MigrationContext, revision: object, directives: list[Any]) -> None:
        """Turn the one script that autogenerate proposes into as many as the rules ask for: none, where nothing is."""
        del revision
        script = directives[0]
        if script.upgrade_ops.is_empty():
            directives[:] = []
            return
        schema = context.dialect.default_schema_name
        for operation in [*_flat(script.upgrade_ops.ops), *_flat(script.downgrade_ops.ops)]:
            if schema and getattr(operation, "schema", "") is None:
                operation.schema = schema
        indexes = [
            operation
            for container in script.upgrade_ops.ops
            if isinstance(container, ops.ModifyTableOps)
            for operation in container.ops
            if isinstance(operation, ops.CreateIndexOp)
        ]
        _take_out(script.upgrade_ops, {index.index_name for index in indexes}, ops.CreateIndexOp)
        _take_out(script.downgrade_ops, {index.index_name for index in indexes}, ops.DropIndexOp)
        directives[:] = [] if script.upgrade_ops.is_empty() else [script]
        if directives:
            self.drafts.append(_described(script))
        for index in indexes:
            operation = ConcurrentIndexOp(index, partitioned=_is_partitioned(context, index))
            directives.append(self._apart(script, operation, is_first=not directives))

    def _apart(self, script: Any, operation: ConcurrentIndexOp, *, is_first: bool) -> ops.MigrationScript:
        """Return a script for the one index; outside a transaction, a revision may do one thing only."""
        index = operation.index
        revision = script.rev_id if is_first else uuid.uuid4().hex[-12:]
        message = script.message if is_first else f"Build {index.index_name}"
        head = script.head if is_first else self.drafts[-1].revision
        self.drafts.append(Draft(revision, [], not index.unique))
        return ops.MigrationScript(
            revision,
            ops.UpgradeOps(ops=[operation]),
            ops.DowngradeOps(ops=[ConcurrentDropOp(index)]),
            message=message,
            head=head,
            splice=script.splice,
        )


def _described(script: Any) -> Draft:
    loses = [*_lost(_flat(script.upgrade_ops.ops))]
    if loses:
        script.downgrade_ops.ops.insert(0, ConsentOp(" and ".join(loses)))
    return Draft(script.rev_id, loses, all(map(_is_additive, _flat(script.upgrade_ops.ops))))


def _is_partitioned(context: MigrationContext, index: ops.CreateIndexOp) -> bool:
    """Whether the database that autogenerate compares with has the index's table as a partitioned one."""
    name = sql.Identifier(*filter(None, [index.schema, index.table_name])).as_string()
    return bool(context.connection and context.connection.scalar(text(_IS_PARTITIONED), {"name": name}))


def _lost(operations: Iterable[Any]) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, ops.AddColumnOp):
            yield f"what is in {operation.table_name}.{operation.column.name}"
        elif isinstance(operation, ops.CreateTableOp):
            yield f"every row of {operation.table_name}"


def _is_additive(operation: Any) -> bool:
    if isinstance(operation, ops.AddColumnOp):
        return bool(operation.column.nullable or operation.column.server_default is not None)
    if isinstance(operation, ops.AlterColumnOp):
        return operation.modify_nullable is None and operation.modify_type is None and operation.modify_name is None
    return isinstance(operation, _HARMLESS) and not getattr(operation, "unique", False)


def _flat(operations: Iterable[Any]) -> Iterator[Any]:
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            yield from operation.ops
        else:
            yield operation


def _take_out(container: Any, names: set[Any], kind: type) -> None:
    for operation in container.ops:
        if isinstance(operation, ops.ModifyTableOps):
            operation.ops = [
                one for one in operation.ops if not (isinstance(one, kind) and getattr(one, "index_name", "") in names)
            ]
    container.ops = [one for one in container.ops if not (isinstance(one, ops.ModifyTableOps) and not one.ops)]
