"""Putting an archived partition back, into a table of its own: nothing that is there is ever touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from logs_db.archive.columns import Column
from logs_db.archive.errors import ArchiveError
from logs_db.archive.parquet import read_tables, texts
from logs_db.archive.table_rows import digest_of, read_pieces, unhurried
from logs_db.archive.verification import verify
from migrator.partitioning import Relation

if TYPE_CHECKING:
    from logs_db.archive.manifest import Manifest
    from logs_db.archive.store import Store

PREFIX = "restored_"

_CREATE: LiteralString = "CREATE TABLE {table} ({columns}, PRIMARY KEY (created_at, id))"


def restore(connection: psycopg.Connection[Any], store: Store, manifest: Manifest, into: str | None = None) -> Relation:
    """
    Put the rows of *manifest* into a new table, and look that they are the ones that were archived.

    Args:
        connection: In autocommit, of a role that may create tables.
        store: Where the archive is.
        manifest: Which archive.
        into: The name of the table; None: that of the partition with ``restored_`` before it.

    Returns:
        The table.  It belongs to no log table and no retention; who does not need it any more drops it.

    Raises:
        ArchiveError: There is such a table already, or the archive is damaged; nothing was changed.
        psycopg.Error: Nothing was changed.
    """
    verify(store, manifest)
    relation = Relation("public", into or f"{PREFIX}{manifest.partition}")
    with unhurried(connection):
        _create(connection, relation, manifest)
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(relation.identifier)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for table in read_tables(store, manifest):
                copy.write(texts(table, manifest.columns, Column.restored))
        if digest_of(read_pieces(connection, relation, manifest.columns)) != manifest.content_sha256:
            raise ArchiveError(
                f"The rows that came into {relation} are not those that were archived. Nothing was kept of it; the "
                "archive itself is right. This database may understand a type otherwise: restore into one of the "
                f"version that headhunter {manifest.product_version} ran on."
            )
    return relation


def _create(connection: psycopg.Connection[Any], relation: Relation, manifest: Manifest) -> None:
    columns = sql.SQL(", ").join(column.defined for column in manifest.columns)
    try:
        connection.execute(sql.SQL(_CREATE).format(table=relation.identifier, columns=columns))
    except psycopg.errors.DuplicateTable as exc:
        raise ArchiveError(
            f"There is a table {relation} already. Nothing was restored, and its rows are as they were. Drop or rename "
            "it, or name another table by --into."
        ) from exc
