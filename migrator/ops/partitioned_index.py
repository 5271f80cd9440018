"""
An index on a partitioned table in use: declared on the parent, built concurrently partition by partition, attached.

PostgreSQL has no CREATE INDEX CONCURRENTLY for a partitioned table.  Once the parent's index is declared, INVALID as
it is, each new partition gets its part by itself; so what is left to do only becomes less, and the catalog tells it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from migrator.errors import PermanentError, TemporaryError
from migrator.ops.index_tree import Branch, child_name, equal_index, read_tree
from migrator.ops.indexes import (
    FoundIndex,
    IndexSpec,
    concurrently,
    ensure_index,
    expected_index,
    refuse_other_definition,
    warn_of_old_transactions,
)
from migrator.ops.session import await_others, execute_briefly, locked

if TYPE_CHECKING:
    from migrator.partitioning import Relation

logger = logging.getLogger(__name__)

MAX_PASSES = 5
"""How often partitions that came without the index are gone after: more only if somebody takes indexes away."""


@dataclass(frozen=True)
class _Work:
    """What is to be made of which table; *expected* is how PostgreSQL will show it."""

    connection: psycopg.Connection[Any]
    table: Relation
    spec: IndexSpec
    expected: FoundIndex

    def tree(self) -> list[Branch]:
        return read_tree(self.connection, self.table, self.spec.name)

    def name_at(self, branch: Branch) -> str:
        return self.spec.name if branch.above is None else child_name(branch.table.name, self.spec.name)


def ensure_partitioned_index(connection: psycopg.Connection[Any], table: Relation, spec: IndexSpec) -> bool:
    """
    Make sure that the partitioned *table* and all below it have the index, valid; true if anything had to be done.

    Writers never wait for a build.  They wait for the declaration on the parent (a few ms under a Share lock), and
    whoever uses a partition waits while its part is attached (likewise); neither lock is waited for longer than
    `EXCLUSIVE_WAIT_MS` at a time.  Judges by the catalog alone: equal indexes of partitions that are valid and belong
    to no other are attached, what an interrupted build left INVALID is built anew.  The connection must be outside a
    transaction.

    Raises:
        PermanentError: A partition is a foreign table, a name is taken by another index, a unique index does not hold
            the partition key, or finds duplicates.
        TemporaryError: Others were in the way for too long; what was done so far is kept.
    """
    work = _Work(connection, table, spec, expected_index(connection, table, spec))
    found = refuse_other_definition(connection, table, spec, work.expected)
    if found is not None and found.is_valid:
        return False
    for _ in range(MAX_PASSES):
        _take_pass(work)
        if work.tree()[0].is_valid:
            logger.info("index built", extra={"event": "index_built", "table": str(table), "index": spec.name})
            return True
    raise TemporaryError(
        f"The index {table.named(spec.name)} is still INVALID after {MAX_PASSES} passes: partitions come without it, "
        "or one is being detached. What was done so far is kept. Find out who changes them, then start again."
    )


def _take_pass(work: _Work) -> None:
    """Give each partition that lacks it its part of the index."""
    tree = work.tree()
    _refuse_unfit(work, tree)
    if any(branch.index is None for branch in tree if branch.is_partitioned):
        await_others(work.connection, work.table, partitions_too=False)
        _declare(work, tree)
        tree = work.tree()
    index_of = {branch.table: branch.index for branch in tree}
    leaves = [branch for branch in tree if not branch.is_partitioned]
    warn_of_old_transactions(work.connection, work.table, work.spec.name)
    for number, leaf in enumerate(leaves, 1):
        above = None if leaf.above is None else index_of[leaf.above]
        if above is not None and not leaf.is_valid and _cover_unless_gone(work, leaf, above):
            extra = {
                "event": "index_partition_done",
                "table": str(work.table),
                "index": work.spec.name,
                "partition": str(leaf.table),
                "number": number,
                "total": len(leaves),
            }
            logger.info("a partition has its part of the index", extra=extra)
    _look_again(work)


def _refuse_unfit(work: _Work, tree: list[Branch]) -> None:
    """Name what would fail later, before anything is changed in this pass."""
    foreign = [str(branch.table) for branch in tree if branch.kind not in "pr"]
    if foreign:
        raise PermanentError(
            f"{work.table} cannot have the index {work.spec.name}, because PostgreSQL builds none on foreign tables, "
            f"and among its partitions are: {', '.join(foreign)}. Nothing was changed. Detach them, or index the other "
            "partitions one by one."
        )
    for branch in tree:
        if branch.index is None and branch.above is not None:
            own = IndexSpec(work.name_at(branch), work.spec.columns, work.spec.unique, work.spec.where)
            refuse_other_definition(work.connection, branch.table, own, work.expected)


def _declare(work: _Work, tree: list[Branch]) -> None:
    """Create the index on every partitioned table that lacks it, without any rows: all of them or none."""
    missing = [branch for branch in tree if branch.is_partitioned and branch.index is None]
    tables = [sql.SQL("ONLY {}").format(branch.table.identifier) for branch in missing]
    locks = [sql.SQL("LOCK TABLE {} IN SHARE MODE").format(tables[0])]
    if tables[1:]:
        # Whoever gets the first one has next to nobody left in the others; what is waited for is not to add up.
        locks.append(sql.SQL("LOCK TABLE {} IN SHARE MODE NOWAIT").format(sql.SQL(", ").join(tables[1:])))
    index_of = {branch.table: branch.index for branch in tree}
    try:
        with locked(work.connection, work.table, *locks):
            for branch in missing:
                index = index_of[branch.table] = _declare_on(work, branch)
                if branch.above is not None and (above := index_of[branch.above]) is not None:
                    work.connection.execute(_attachment(above, index))
    except psycopg.errors.FeatureNotSupported as error:
        reason = error.diag.message_detail or error.diag.message_primary
        raise PermanentError(
            f"PostgreSQL refuses the index {work.spec.name} on the partitioned table {work.table}: {reason} "
            "Nothing was changed. A unique index needs every column of the partition key."
        ) from error


def _declare_on(work: _Work, branch: Branch) -> Relation:
    name = work.name_at(branch)
    if branch.above is not None and (equal := equal_index(work.connection, branch.table, work.expected, name)):
        return equal
    work.connection.execute(work.spec.statement(branch.table, name=name, only=True))
    return branch.table.named(name)


def _cover_unless_gone(work: _Work, leaf: Branch, above: Relation) -> bool:
    """Cover *leaf*; false if it was dropped or detached meanwhile."""
    try:
        _cover(work, leaf, above)
    except psycopg.Error:
        if leaf.table in {branch.table for branch in work.tree()}:
            raise
        return False
    return True


def _cover(work: _Work, leaf: Branch, above: Relation) -> None:
    """Give *leaf* a valid index that is attached to *above*."""
    await_others(work.connection, leaf.table)
    index = leaf.index
    if index is not None:
        # Attached while it was INVALID: it can be dropped no more.
        with concurrently(leaf.table, index):
            work.connection.execute(sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(index.identifier))
    else:
        name = work.name_at(leaf)
        index = equal_index(work.connection, leaf.table, work.expected, name)
        if index is None:
            own = IndexSpec(name, work.spec.columns, work.spec.unique, work.spec.where)
            ensure_index(work.connection, leaf.table, own, work.expected)
            index = leaf.table.named(name)
    execute_briefly(work.connection, leaf.table, _attachment(above, index))


def _look_again(work: _Work) -> None:
    """
    Let PostgreSQL see that an index is complete where it did not by itself: after the last partition without it went.

    It counts the valid parts whenever one is attached, also one that is attached already.
    """
    tree = work.tree()
    for parent in reversed([branch for branch in tree if branch.is_partitioned and not branch.is_valid]):
        parts = [branch for branch in tree if branch.above == parent.table]
        if parent.index is not None and parts and parts[0].index is not None:
            execute_briefly(work.connection, parts[0].table, _attachment(parent.index, parts[0].index))


def _attachment(above: Relation, index: Relation) -> sql.Composed:
    return sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(above.identifier, index.identifier)
