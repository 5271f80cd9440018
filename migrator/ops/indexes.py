"""Indexes as revisions describe them, as the catalog shows them, and how the one becomes the other online."""

from __future__ import annotations

import logging
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import TextClause

from migrator.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.partitioning import Relation

logger = logging.getLogger(__name__)

_FOUND: LiteralString = """
SELECT pg_catalog.pg_get_indexdef(c.oid), x.indisunique, x.indisvalid,
       x.indrelid = pg_catalog.to_regclass(%s), c.relkind::text
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
WHERE c.oid = pg_catalog.to_regclass(%s)
"""
_OLD_TRANSACTIONS: LiteralString = """
SELECT a.pid, a.application_name, a.state,
       pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::int
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
  AND a.xact_start < pg_catalog.clock_timestamp() - interval '10 seconds'
"""


@dataclass(frozen=True)
class IndexSpec:
    """
    An index as a revision wants it.

    A column is a name, which is quoted, or a `text()`, which stands in the statement as it is; so does *where*.
    """

    name: str
    columns: tuple[str | TextClause, ...]
    unique: bool = False
    where: str | None = None

    def statement(
        self, table: Relation, *, name: str | None = None, concurrently: bool = False, only: bool = False
    ) -> sql.Composed:
        """
        Return the CREATE INDEX statement for *table*, under another *name* if one is given.

        With *only* the partitions of *table* get none.
        """
        return sql.SQL("CREATE {}INDEX {}{} ON {}{} {}").format(
            sql.SQL("UNIQUE " if self.unique else ""),
            sql.SQL("CONCURRENTLY " if concurrently else ""),
            sql.Identifier(name or self.name),
            sql.SQL("ONLY " if only else ""),
            table.identifier,
            self.definition(),
        )

    def definition(self) -> sql.Composed:
        """Return columns and predicate as they stand behind the table's name."""
        columns = [
            as_written(column.text) if isinstance(column, TextClause) else sql.Identifier(column)
            for column in self.columns
        ]
        where = sql.SQL("") if self.where is None else sql.SQL(" WHERE {}").format(as_written(self.where))
        return sql.SQL("({}){}").format(sql.SQL(", ").join(columns), where)


@dataclass(frozen=True)
class FoundIndex:
    """An index as the catalog shows it; *definition* is what PostgreSQL makes of columns, method and predicate."""

    definition: str
    is_unique: bool
    is_valid: bool

    def equals(self, other: FoundIndex) -> bool:
        """Whether both hold the same of their tables' rows, in the same order."""
        return (self.definition, self.is_unique) == (other.definition, other.is_unique)


def as_written(text: str) -> sql.SQL:
    """Return SQL that a revision wrote, unchanged; never anything that came from outside."""
    return sql.SQL(text)


def read_index(connection: psycopg.Connection[Any], table: Relation, name: str) -> FoundIndex | None:
    """
    Return the index called *name* on *table*, or None.

    Raises:
        PermanentError: Something else in the schema has that name.
    """
    row = connection.execute(_FOUND, (table.quoted, table.named(name).quoted)).fetchone()
    if row is None:
        return None
    definition, is_unique, is_valid, is_of_table, kind = row
    if not is_of_table:
        raise PermanentError(
            f"The name {table.named(name)} is taken by another {'index' if kind in 'iI' else 'relation'}, so the "
            f"index on {table} cannot have it. Nothing was changed. Rename or drop the other one."
        )
    return FoundIndex(after_table(definition), is_unique, is_valid)


def expected_index(connection: psycopg.Connection[Any], table: Relation, spec: IndexSpec) -> FoundIndex:
    """Return how PostgreSQL shows *spec* once it is built: asked of an empty copy that is rolled back at once."""
    copy = table.named(f"{table.name[:40]}_{secrets.token_hex(4)}")
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(copy.identifier, table.identifier))
        connection.execute(spec.statement(copy, name=f"{copy.name}_index"))
        found = read_index(connection, copy, f"{copy.name}_index")
    if found is None:
        raise PermanentError(f"PostgreSQL does not show the index {spec.name} that was just made on a copy of {table}.")
    return found


def refuse_other_definition(
    connection: psycopg.Connection[Any], table: Relation, spec: IndexSpec, expected: FoundIndex | None = None
) -> FoundIndex | None:
    """
    Return the index as it is, or None where it is yet to be built.

    *expected* is what `expected_index` said, where that was asked already.

    Raises:
        PermanentError: An index of that name has another definition.
    """
    found = read_index(connection, table, spec.name)
    expected = expected or expected_index(connection, table, spec)
    if found is not None and not found.equals(expected):
        raise PermanentError(
            f"The index {table.named(spec.name)} is {found.definition!r}, but {expected.definition!r} is wanted. "
            "Nothing was changed. Rename or drop it."
        )
    return found


def ensure_index(
    connection: psycopg.Connection[Any], table: Relation, spec: IndexSpec, expected: FoundIndex | None = None
) -> bool:
    """
    Make sure that *table* has the index, valid, without stopping writers; true if it had to be built.

    Judges by the catalog: what is there and valid stays, what an interrupted build left INVALID is dropped and built
    anew.  The connection must be outside a transaction; *expected* is as for `refuse_other_definition`.

    Raises:
        PermanentError: An index of that name has another definition, or a unique index finds duplicates.
        TemporaryError: Others held the table, or an old transaction was waited for, longer than the lock_timeout.
    """
    found = refuse_other_definition(connection, table, spec, expected)
    if found is not None and found.is_valid:
        return False
    warn_of_old_transactions(connection, table, spec.name)
    index = table.named(spec.name)
    with concurrently(table, index):
        if found is not None:
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(index.identifier))
        connection.execute(spec.statement(table, concurrently=True))
    logger.info("index built", extra={"event": "index_built", "table": str(table), "index": spec.name})
    return True


@contextmanager
def concurrently(table: Relation, index: Relation) -> Iterator[None]:
    """
    Turn what a concurrent statement on *index* may meet into an error that says what to do.

    Raises:
        PermanentError: A unique index finds duplicates.
        TemporaryError: Others held the table, or an old transaction was waited for, longer than the lock_timeout.
    """
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TemporaryError(
            f"The index {index} could not be built or dropped, because others held {table} or kept an old "
            "transaction open. What was done so far is kept. End that transaction or wait, then start again."
        ) from error
    except psycopg.errors.UniqueViolation as error:
        raise PermanentError(
            f"The unique index {index} cannot be built: {table} holds rows with the same key. "
            "The rows are untouched. Remove the duplicates, then start again."
        ) from error


def warn_of_old_transactions(connection: psycopg.Connection[Any], table: Relation, index: str) -> None:
    """Log each transaction that an index build on *table* will have to outwait and that is old already."""
    for pid, application_name, state, age_seconds in connection.execute(_OLD_TRANSACTIONS):
        logger.warning(
            "an index build waits for every older transaction in the database, and this one is old",
            extra={
                "event": "index_build_delayed",
                "table": str(table),
                "index": index,
                "pid": pid,
                "session": application_name,
                "state": state,
                "age_seconds": age_seconds,
            },
        )


def after_table(definition: str) -> str:
    """Return what of PostgreSQL's own text of an index stands behind its table: method, columns and the rest."""
    return definition.partition(" USING ")[2]
