"""How a batch gets into the logs database: one connection, one transaction a batch, binary COPY."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from logs_db.dead_letters import DeadLetterRow
from msgspec.structs import astuple
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format

from logs_db import dead_letters
from worker.decode import Batch, Row
from worker.tables import COPY_NEW, LLM_LOGS, SYSTEM_LOGS, Table, copy_rows
from worker.verdicts import Reason, RejectedError

STATEMENT_TIMEOUT_SECONDS = 60
CONNECT_TIMEOUT_SECONDS = 5

_BEGIN = sql.SQL(
    "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = {}"
).format(sql.Literal(f"{STATEMENT_TIMEOUT_SECONDS}s"))


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch became."""

    rows: int = 0
    dead_letters: int = 0
    duplicates: int = 0

    def __add__(self, other: "Written") -> "Written":
        return Written(
            self.rows + other.rows, self.dead_letters + other.dead_letters, self.duplicates + other.duplicates
        )


class _JsonTextDumper(Dumper):
    """Sends JSON text to jsonb as it is. Source: PostgreSQL, jsonb_recv: a version byte 1, then the text."""

    format = Format.BINARY
    oid = psycopg.adapters.types["jsonb"].oid

    def dump(self, obj: str) -> bytes:
        """The bytes of *obj* as jsonb's receive function takes them."""
        return b"\x01" + obj.encode()


def connect(url: str, *, application_name: str) -> psycopg.Connection[Any]:
    """
    A connection for writing batches.

    Raises:
        psycopg.OperationalError: The server is away; try again.
    """
    connection = psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=application_name,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    connection.adapters.register_dumper(None, _JsonTextDumper)
    return connection


def write_new(connection: psycopg.Connection[Any], batch: Batch) -> Written:
    """
    Write a batch that nobody has written before: plain COPY.

    Raises:
        psycopg.errors.UniqueViolation: Somebody has, or two events share a key; nothing was written: `write_checked`.
        psycopg.Error: Nothing was written, unless the connection broke during COMMIT; then too: `write_checked`.
    """
    with _transaction(connection) as cursor:
        for table, events in ((SYSTEM_LOGS, batch.system_logs), (LLM_LOGS, batch.llm_logs)):
            copy_rows(cursor, COPY_NEW[table], table.types, map(astuple, events))
        dead_letters.upsert(cursor, batch.dead_letters)
    return Written(len(batch.system_logs) + len(batch.llm_logs), len(batch.dead_letters))


def write_checked(
    connection: psycopg.Connection[Any], rows: Sequence[Row], letters: Sequence[DeadLetterRow]
) -> Written:
    """
    Write rows of which some may be there already: equal ones are left alone, others become dead letters.

    Raises:
        psycopg.Error: Nothing was written, unless the connection broke during COMMIT; then do it again.
    """
    written = Written(dead_letters=len(letters))
    with _transaction(connection) as cursor:
        dead_letters.upsert(cursor, letters)
        for table in (SYSTEM_LOGS, LLM_LOGS):
            of_table = [row for row in rows if isinstance(row.event, table.struct)]
            if of_table:
                written += _insert_absent(cursor, table, of_table)
    return written


@contextmanager
def _transaction(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Cursor[Any]]:
    """One transaction, opened together with its settings in one round trip, so that none leaks through a pooler."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN)
        try:
            yield cursor
        except BaseException:
            if not connection.closed:
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


def _insert_absent(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> Written:
    """Insert the rows whose key is free, in key order so that two workers never wait for one another in a circle."""
    _stage(cursor, table, rows)
    cursor.execute(
        table.statement(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON (created_at, id) {columns} FROM {staged}"
            " ORDER BY created_at, id, ordinal ON CONFLICT (created_at, id) DO NOTHING"
        )
    )
    inserted = cursor.rowcount
    conflicts = _conflicts(cursor, table, rows) if inserted < len(rows) else []
    dead_letters.upsert(cursor, conflicts)
    return Written(inserted, len(conflicts), len(rows) - inserted - len(conflicts))


def _stage(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> None:
    cursor.execute(
        table.statement(
            "CREATE TEMPORARY TABLE {staged} ON COMMIT DROP AS SELECT 0 AS ordinal, {columns} FROM {table} WITH NO DATA"
        )
    )
    statement = table.statement("COPY {staged} (ordinal, {columns}) FROM STDIN (FORMAT BINARY)")
    numbered = ((ordinal, *astuple(row.event)) for ordinal, row in enumerate(rows))
    copy_rows(cursor, statement, ["int4", *table.types], numbered)


def _conflicts(cursor: psycopg.Cursor[Any], table: Table, rows: Sequence[Row]) -> list[DeadLetterRow]:
    """A dead letter for each staged row whose key holds another body."""
    cursor.execute(
        table.statement(
            "SELECT new.ordinal FROM {staged} AS new JOIN {table} AS old USING (created_at, id)"
            " WHERE ({new_body}) IS DISTINCT FROM ({old_body}) ORDER BY new.ordinal"
        )
    )
    rejection = RejectedError(Reason.CONFLICT, "its key is taken by an event with another body", table.event_type)
    return [rows[ordinal].rejected(rejection) for (ordinal,) in cursor.fetchall()]
