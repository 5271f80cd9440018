"""What code of a revision does to its tables, to be done again on a newer schema: reads, inserts, updates, deletes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from migrator.authoring.seeding import SeedTable, insertion
from migrator.classifier import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS = 3


@dataclass(frozen=True)
class Deed:
    """
    One statement of such code.

    Args:
        what: What it is, for people.
        statement: As it is run.
        parameters: With these.
    """

    what: str
    statement: sql.Composed
    parameters: tuple[int, ...] = ()

    def failure(self, connection: psycopg.Connection[Any]) -> str | None:
        """Return why it fails; None: it works. Nothing of it stays."""
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(self.statement, self.parameters or None)
                connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return sentence(error)
        return None


def deeds_of_code(connection: psycopg.Connection[Any], tables: Iterable[SeedTable]) -> list[Deed]:
    """Return what code that knows *tables* as they are now does; only what works now."""
    tables = list(tables)
    by_oid = {table.oid: table for table in tables}
    deeds = [deed for table in tables for deed in _deeds(table, by_oid)]
    return [deed for deed in deeds if deed.failure(connection) is None]


def fill_empty_tables(connection: psycopg.Connection[Any], tables: Iterable[SeedTable]) -> None:
    """Put some rows into each table that has none, as far as the catalog tells what they may be."""
    tables = list(tables)
    by_oid = {table.oid: table for table in tables}
    for table in tables:
        if count_rows(connection, table):
            continue
        for _, statement in _insertions(table, by_oid):
            try:
                with connection.transaction():
                    connection.execute(statement, (1, ROWS))
            except psycopg.Error:
                continue
            break


def count_rows(connection: psycopg.Connection[Any], table: SeedTable) -> int | None:
    """Return how many rows *table* has; None: there is no such table any more."""
    try:
        with connection.transaction():
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_name(table))).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None else int(row[0])


def _deeds(table: SeedTable, by_oid: dict[int, SeedTable]) -> Iterator[Deed]:
    columns = sql.SQL(", ").join(sql.Identifier(column["name"]) for column in table.columns)
    written = [sql.Identifier(column["name"]) for column in table.columns if column["written"]]
    if table.columns:
        yield Deed(f"SELECT from {table}", sql.SQL("SELECT {} FROM {} LIMIT 1").format(columns, _name(table)))
    if written:
        changes = sql.SQL(", ").join(sql.SQL("{} = {}").format(column, column) for column in written)
        yield Deed(f"UPDATE of {table}", sql.SQL("UPDATE {} SET {}").format(_name(table), changes))
    yield Deed(f"DELETE of {table}", sql.SQL("DELETE FROM {} WHERE false").format(_name(table)))
    for what, statement in _insertions(table, by_oid):
        yield Deed(f"INSERT of {what} into {table}", statement, (ROWS + 1, 2 * ROWS))


def _insertions(table: SeedTable, by_oid: dict[int, SeedTable]) -> Iterator[tuple[str, sql.Composed]]:
    for what, frugal in (("all columns", False), ("what is required", True)):
        try:
            yield what, insertion(table, by_oid, few=ROWS, frugal=frugal)
        except LookupError:
            continue


def _name(table: SeedTable) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)
