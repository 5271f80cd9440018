"""Operations that stand in a drafted revision for those of `migrator.ops`, and how they are written into its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import renderers
from alembic.operations import MigrateOperation, ops
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import coercions, roles

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

# Importing it makes its operations members of alembic.op.
_IMPORT = "from migrator import ops  # noqa: F401 - registers op.create_index_concurrently and its like"
# Whose SQL is not a template for parameters, in which each % is doubled.
_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so


class ConsentOp(MigrateOperation):
    """Stands in a downgrade for the question whether *what* may be lost."""

    def __init__(self, what: str) -> None:
        self.what = what


class ConcurrentIndexOp(MigrateOperation):
    """Stands for an index that is built without stopping writers, on a *partitioned* table or a plain one."""

    def __init__(self, index: ops.CreateIndexOp, *, partitioned: bool) -> None:
        self.index = index
        self.partitioned = partitioned


class ProvenCheckOp(MigrateOperation):
    """Stands for a CHECK that is proven while the table is in use."""

    def __init__(self, constraint: ops.CreateCheckConstraintOp) -> None:
        self.constraint = constraint


class ProvenNotNullOp(MigrateOperation):
    """Stands for a column that is made NOT NULL while the table is in use."""

    def __init__(self, change: ops.AlterColumnOp) -> None:
        self.change = change


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
    words = [repr(operation.index.index_name), repr(operation.index.table_name), *_schema(operation.index)]
    return f"op.drop_index_concurrently({', '.join(words)})"


@renderers.dispatch_for(ProvenCheckOp)
def _render_check(context: AutogenContext, operation: ProvenCheckOp) -> str:
    context.imports.add(_IMPORT)
    constraint = operation.constraint
    words = [repr(constraint.constraint_name), repr(constraint.table_name), repr(_sql(constraint.condition))]
    words += _schema(constraint)
    return f"op.add_check({', '.join(words)})"


@renderers.dispatch_for(ProvenNotNullOp)
def _render_not_null(context: AutogenContext, operation: ProvenNotNullOp) -> str:
    context.imports.add(_IMPORT)
    change = operation.change
    return f"op.add_not_null({', '.join([repr(change.table_name), repr(change.column_name), *_schema(change)])})"


@renderers.dispatch_for(ConcurrentIndexOp)
def _render_index(context: AutogenContext, operation: ConcurrentIndexOp) -> str:
    context.imports.add(_IMPORT)
    index = operation.index.to_index()
    columns = []
    for expression in index.expressions:
        name = getattr(expression, "name", None)
        written = _sql(expression)
        columns.append(repr(name) if isinstance(name, str) and name == written else f"sa.text({written!r})")
    options = index.dialect_options["postgresql"]
    words = [repr(index.name), repr(operation.index.table_name), f"[{', '.join(columns)}]"]
    if index.unique:
        words.append("unique=True")
    if options["where"] is not None:
        words.append(f"where={_sql(options['where'])!r}")
    words += _schema(operation.index)
    if operation.partitioned:
        words.append("partitioned=True")
    return f"op.create_index_concurrently({', '.join(words)})"


def _schema(operation: Any) -> list[str]:
    return [f"schema={operation.schema!r}"] if operation.schema else []


def _sql(expression: Any) -> str:
    """Return SQL with column names without their table, and values written out."""
    compiler = _DIALECT.statement_compiler(_DIALECT, None)
    element = coercions.expect(roles.DDLExpressionRole, expression)
    return str(compiler.process(element, include_table=False, literal_binds=True))
