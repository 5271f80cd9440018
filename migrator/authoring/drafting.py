"""What autogenerate found, made into revisions of the house: qualified, consenting, what works online each apart."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alembic.operations import ops

from migrator.authoring.drafted_operations import (
    ConcurrentDropOp,
    ConcurrentIndexOp,
    ConsentOp,
    ProvenCheckOp,
    ProvenNotNullOp,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from alembic.operations import MigrateOperation
    from alembic.runtime.migration import MigrationContext

# What code that knows nothing of it can live with.
_HARMLESS = (ops.CreateTableOp, ops.CreateIndexOp, ops.CreateTableCommentOp, ops.DropTableCommentOp)


@dataclass(frozen=True)
class _Apart:
    """What gets a revision of its own, because it works outside a transaction, and may do nothing else there."""

    title: str
    there: MigrateOperation
    back: MigrateOperation
    is_additive: bool = False


@dataclass
class Draft:
    """
    What is to become one revision's file.

    Args:
        revision: Its id.
        loses: What its downgrade loses, in words; empty: nothing.
        is_additive: Code that does not know of it works on it.
        is_idempotent: Its one operation goes on from where an interruption left it.
    """

    revision: str
    loses: list[str] = field(default_factory=list)
    is_additive: bool = True
    is_idempotent: bool = False


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
        proposed = [*_flat(script.upgrade_ops.ops)]
        aparts = {_name(one): apart for one in proposed if (apart := _apart(context, one)) is not None}
        # Of a changed index the old one goes first of all: its columns may go too, and on the way back it comes last.
        drops = [_drop(context, one) for one in proposed if isinstance(one, ops.DropIndexOp) and _name(one) in aparts]
        for container in (script.upgrade_ops, script.downgrade_ops):
            _take_out(container, aparts)
        directives[:] = [self._script(script, drop) for drop in drops]
        if not script.upgrade_ops.is_empty():
            script.head = self._head(script)
            self.drafts.append(_described(script))
            directives.append(script)
        for number, apart in enumerate(aparts.values()):
            directives.append(self._script(script, apart, is_asked_for=number == 0 and script not in directives))

    def _script(self, script: Any, apart: _Apart, *, is_asked_for: bool = False) -> ops.MigrationScript:
        """Return a script for the one operation; the one that *is_asked_for* has the id and title that were given."""
        revision = script.rev_id if is_asked_for else uuid.uuid4().hex[-12:]
        head = self._head(script)
        self.drafts.append(Draft(revision, [], apart.is_additive, is_idempotent=True))
        return ops.MigrationScript(
            revision,
            ops.UpgradeOps(ops=[apart.there]),
            ops.DowngradeOps(ops=[apart.back]),
            message=script.message if is_asked_for else apart.title,
            head=head,
            splice=script.splice,
        )

    def _head(self, script: Any) -> Any:
        """Return what the next script builds upon."""
        return self.drafts[-1].revision if self.drafts else script.head


def _drop(context: MigrationContext, operation: ops.DropIndexOp) -> _Apart:
    """Return the drop of an index, whose way back builds it as it was."""
    index = operation.reverse()
    back = ConcurrentIndexOp(index, partitioned=_is_partitioned(context, index))
    return _Apart(f"Drop {index.index_name}", ConcurrentDropOp(index), back, is_additive=not index.unique)


def _apart(context: MigrationContext, operation: Any) -> _Apart | None:
    """Return what is to be done instead of *operation*, in a revision of its own; None: it stays where it is."""
    if isinstance(operation, ops.CreateIndexOp):
        there = ConcurrentIndexOp(operation, partitioned=_is_partitioned(context, operation))
        return _Apart(
            f"Build {operation.index_name}", there, ConcurrentDropOp(operation), is_additive=not operation.unique
        )
    if isinstance(operation, ops.CreateCheckConstraintOp) and operation.constraint_name:
        return _Apart(f"Add {operation.constraint_name}", ProvenCheckOp(operation), operation.reverse())
    if isinstance(operation, ops.AlterColumnOp) and _makes_not_null_only(operation):
        title = f"Require {operation.column_name} of {operation.table_name}"
        return _Apart(title, ProvenNotNullOp(operation), operation.reverse())
    return None


def _makes_not_null_only(operation: ops.AlterColumnOp) -> bool:
    others = (operation.modify_comment, operation.modify_server_default)
    renewed = (operation.modify_type, operation.modify_name)
    return operation.modify_nullable is False and others == (False, False) and renewed == (None, None)


def _name(operation: Any) -> tuple[object, ...] | None:
    """Name what *operation* is about, the same for the way there and the way back."""
    if isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp):
        return ("index", operation.index_name)
    if isinstance(operation, ops.CreateCheckConstraintOp | ops.DropConstraintOp):
        return ("constraint", operation.table_name, operation.constraint_name)
    if isinstance(operation, ops.AlterColumnOp):
        return ("column", operation.table_name, operation.column_name)
    return None


def _described(script: Any) -> Draft:
    loses = [*_lost(_flat(script.upgrade_ops.ops))]
    if loses:
        script.downgrade_ops.ops.insert(0, ConsentOp(" and ".join(loses)))
    return Draft(script.rev_id, loses, all(map(_is_additive, _flat(script.upgrade_ops.ops))))


def _is_partitioned(context: MigrationContext, index: ops.CreateIndexOp) -> bool:
    """Whether the models have the index's table as a partitioned one; that the database has it so is compared apart."""
    return any(
        table.dialect_options["postgresql"]["partition_by"]
        for table in context.opts["target_metadata"].tables.values()
        if table.name == index.table_name and table.schema in {None, index.schema}
    )


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


def _take_out(container: Any, names: Container[object]) -> None:
    for operation in container.ops:
        if isinstance(operation, ops.ModifyTableOps):
            operation.ops = [one for one in operation.ops if _name(one) not in names]
    container.ops = [one for one in container.ops if not (isinstance(one, ops.ModifyTableOps) and not one.ops)]
